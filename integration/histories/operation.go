package main

import (
	"fmt"
	"strings"
	"sync"
	"time"
)

// Everything a client does is written down as a transaction: a put is one without compares. So one
// evaluation is the model of them all.

// KV is a key as etcd shows it.
type KV struct {
	Key, Value           string
	Create, Mod, Version int64
	Lease                int64
}

// Event is a change of a key. Of a deleted key only Key and Mod are set; Prev is what it was before.
type Event struct {
	Delete bool
	KV     KV
	Prev   *KV
}

// Target is what a compare looks at.
type Target int

const (
	targetMod Target = iota
	targetVersion
	targetCreate
	targetValue
)

// Compare demands equality.
type Compare struct {
	Key    string
	Target Target
	Number int64
	Text   string
}

type StepKind int

const (
	stepRange StepKind = iota
	stepPut
	stepDelete
)

// Step is one operation of a transaction.
type Step struct {
	Kind StepKind
	// End is "" for a single key, else the key after the last.
	Key, End string
	Value    string
	Lease    int64
	// Revision is what a range reads at; 0: now.
	Revision int64
}

// Answer is what a Step answers: the keys of a range, or those that a put or a delete replaced.
type Answer struct {
	KVs   []KV
	Count int64
}

// Way is how a request travels; what it means does not depend on it.
type Way string

const (
	wayGet          Way = "get"
	wayRange        Way = "range"
	waySerializable Way = "serializable range"
	wayPast         Way = "range of the past"
	wayPut          Way = "put"
	wayDelete       Way = "delete"
	wayTxn          Way = "txn"
	wayRevoke       Way = "revoke"
	wayCompact      Way = "compact"
)

type Outcome string

const (
	// The answer is known.
	outcomeOK Outcome = "ok"
	// It was certainly not executed.
	outcomeFailed Outcome = "failed"
	// It may have been executed, or may still be.
	outcomeUnknown Outcome = "unknown"
)

// Op is one operation of a client, with times since the start of the history.
type Op struct {
	ID       int
	Client   int
	Endpoint string
	Way      Way
	Call     time.Duration
	Return   time.Duration
	Outcome  Outcome
	Error    string `json:",omitempty"`

	Compares []Compare `json:",omitempty"`
	Then     []Step    `json:",omitempty"`
	Else     []Step    `json:",omitempty"`
	// Lease is what a revoke revokes.
	Lease int64 `json:",omitempty"`

	Succeeded bool
	Answers   []Answer `json:",omitempty"`
	// Revision is the answer's, or the one found for an unknown outcome; 0 where there is none.
	Revision int64
}

func (o *Op) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "#%d %s", o.ID, o.Way)
	if o.Lease != 0 {
		fmt.Fprintf(&b, " of lease %x", o.Lease)
	}
	for _, c := range o.Compares {
		fmt.Fprintf(&b, " if %s", c)
	}
	for _, s := range o.Then {
		fmt.Fprintf(&b, " %s", s)
	}
	if len(o.Else) > 0 {
		b.WriteString(" else")
		for _, s := range o.Else {
			fmt.Fprintf(&b, " %s", s)
		}
	}
	fmt.Fprintf(&b, " by client %d on %s from %s to %s: %s", o.Client, o.Endpoint, seconds(o.Call), seconds(o.Return), o.Outcome)
	if o.Error != "" {
		fmt.Fprintf(&b, " (%s)", o.Error)
	}
	if o.Outcome == outcomeOK {
		fmt.Fprintf(&b, ", revision %d", o.Revision)
		if len(o.Compares) > 0 {
			fmt.Fprintf(&b, ", succeeded %t", o.Succeeded)
		}
		for _, a := range o.Answers {
			fmt.Fprintf(&b, " %s", a)
		}
	}
	return b.String()
}

func (c Compare) String() string {
	name := [...]string{"mod", "version", "create", "value"}[c.Target]
	if c.Target == targetValue {
		return fmt.Sprintf("%s(%s) = %q", name, c.Key, short(c.Text))
	}
	return fmt.Sprintf("%s(%s) = %d", name, c.Key, c.Number)
}

func (s Step) String() string {
	keys := s.Key
	if s.End != "" {
		keys += ".." + s.End
	}
	switch s.Kind {
	case stepPut:
		text := fmt.Sprintf("put %s=%s", keys, short(s.Value))
		if s.Lease != 0 {
			text += fmt.Sprintf(" with lease %x", s.Lease)
		}
		return text
	case stepDelete:
		return "delete " + keys
	default:
		if s.Revision != 0 {
			return fmt.Sprintf("read %s at %d", keys, s.Revision)
		}
		return "read " + keys
	}
}

func (a Answer) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "[%d", a.Count)
	for _, kv := range a.KVs {
		fmt.Fprintf(&b, " %s", kv)
	}
	return b.String() + "]"
}

func (kv KV) String() string {
	text := fmt.Sprintf("%s=%s@%d", kv.Key, short(kv.Value), kv.Mod)
	if kv.Lease != 0 {
		text += fmt.Sprintf("/%x", kv.Lease)
	}
	return text
}

func (e Event) String() string {
	if e.Delete {
		return fmt.Sprintf("delete %s@%d", e.KV.Key, e.KV.Mod)
	}
	return "put " + e.KV.String()
}

// short leaves the filling of large values out.
func short(value string) string {
	if name, filling, large := strings.Cut(value, " "); large {
		return fmt.Sprintf("%s (and %d bytes)", name, len(filling))
	}
	return value
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.4fs", d.Seconds()) }

// contains says whether a step's or watcher's range holds a key.
func contains(key, end, k string) bool {
	if end == "" {
		return k == key
	}
	return k >= key && (end == "\x00" || k < end)
}

// writes says whether the operation can change anything.
func (o *Op) writes() bool {
	if o.Way == wayRevoke {
		return true
	}
	for _, steps := range [][]Step{o.Then, o.Else} {
		for _, s := range steps {
			if s.Kind != stepRange {
				return true
			}
		}
	}
	return false
}

// LeaseOp is a grant or a keepalive.
type LeaseOp struct {
	Keepalive bool
	Lease     int64
	TTL       time.Duration
	Endpoint  string
	Call      time.Duration
	Return    time.Duration
	Outcome   Outcome
	Error     string `json:",omitempty"`
	// Gone: the answer said that there is no such lease.
	Gone bool
}

// Record is all that clients have seen.
type Record struct {
	began time.Time

	mu     sync.Mutex
	Ops    []*Op
	Leases []*LeaseOp
	// Ended are the leases that nobody keeps alive any more.
	Watchers []*Watcher
	Faults   []string
}

func newRecord() *Record { return &Record{began: time.Now()} }

// now is monotonic.
func (r *Record) now() time.Duration { return time.Since(r.began) }

func (r *Record) addOp(op *Op) {
	r.mu.Lock()
	defer r.mu.Unlock()
	op.ID = len(r.Ops)
	r.Ops = append(r.Ops, op)
}

func (r *Record) addLease(op *LeaseOp) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.Leases = append(r.Leases, op)
}
