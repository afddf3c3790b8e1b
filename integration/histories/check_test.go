package main

import (
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A little history of two clients, right as it stands; each test spoils it.
type written struct{ *Record }

func ms(n int) time.Duration { return time.Duration(n) * time.Millisecond }

func (w written) op(op Op, call, ended int) *Op {
	op.Endpoint, op.Call, op.Return = "jine", ms(call), ms(ended)
	if op.Outcome == "" {
		op.Outcome = outcomeOK
	}
	w.addOp(&op)
	return &op
}

func putOf(value string, lease int64, revision int64, before ...KV) Op {
	return Op{Way: wayPut, Then: []Step{{Kind: stepPut, Key: "k/0", Value: value, Lease: lease}}, Succeeded: true, Revision: revision, Answers: []Answer{{KVs: before}}}
}

func getOf(revision int64, found ...KV) Op {
	return Op{Way: wayGet, Then: []Step{{Key: "k/0"}}, Succeeded: true, Revision: revision, Answers: []Answer{{found, int64(len(found))}}}
}

var (
	one = KV{"k/0", "one", 2, 2, 1, 0}
	two = KV{"k/0", "two", 2, 3, 2, 0}
)

func newWritten() written {
	w := written{newRecord()}
	w.op(putOf("one", 0, 2), 0, 10)
	w.op(putOf("two", 0, 3, one), 20, 30)
	w.op(getOf(3, two), 40, 50)
	session := &Session{Endpoint: "jine", Start: 1, Created: 1}
	session.Heard = []Heard{
		{At: ms(12), Revision: 2, Events: []Event{{KV: one}}},
		{At: ms(32), Revision: 3, Events: []Event{{KV: two, Prev: &one}}},
		{At: ms(60), Revision: 3},
	}
	w.Watchers = []*Watcher{{Name: "all", Key: everything, End: everything, Sessions: []*Session{session}}}
	return w
}

func (w written) check(t *testing.T, kept ...int64) string {
	t.Helper()
	h := buildHistory(w.Record)
	c := findWriters(h, w.Record)
	c.checkReadsOfThePast()
	c.checkLinearizable(filepath.Join(t.TempDir(), "picture.html"))
	h.checkWatchers(w.Record)
	c.checkLeases(kept, time.Hour)
	return strings.Join(h.problems, "\n")
}

func expect(t *testing.T, found, part string) {
	t.Helper()
	if part == "" && found != "" || !strings.Contains(found, part) {
		t.Errorf("found %q, expected %q", found, part)
	}
}

func TestRight(t *testing.T) { expect(t, newWritten().check(t), "") }

func TestStaleRead(t *testing.T) {
	w := newWritten()
	w.op(getOf(2, one), 35, 38)
	found := w.check(t)
	expect(t, found, "stale: ")
	expect(t, found, "porcupine: ")
}

func TestReadAtTheTime(t *testing.T) {
	w := newWritten()
	w.op(getOf(2, one), 15, 100)
	expect(t, w.check(t), "")
}

func TestWrongAnswer(t *testing.T) {
	w := newWritten()
	w.op(getOf(3, one), 40, 50)
	expect(t, w.check(t), "the answer must be")
}

func TestRevisionGivenTwice(t *testing.T) {
	w := newWritten()
	w.op(putOf("other", 0, 3, one), 20, 30)
	expect(t, w.check(t), "it should have written")
}

func TestUnknownMayHaveHappened(t *testing.T) {
	for _, outcome := range []Outcome{outcomeUnknown, outcomeFailed} {
		w := newWritten()
		w.Ops[1].Outcome, w.Ops[1].Revision = outcome, 0
		expected := map[Outcome]string{outcomeUnknown: "", outcomeFailed: "nobody who may have written revision 3"}[outcome]
		expect(t, w.check(t), expected)
	}
}

func TestUnknownBeforeItBegan(t *testing.T) {
	w := newWritten()
	w.Ops[1].Outcome, w.Ops[1].Revision, w.Ops[1].Call = outcomeUnknown, 0, ms(45)
	expect(t, w.check(t), "nobody who may have written revision 3")
}

func TestWatchers(t *testing.T) {
	for name, spoil := range map[string]func(*Session){
		"prev_kv":             func(s *Session) { s.Heard[1].Events[0].Prev = nil },
		"where put k/0=one":   func(s *Session) { s.Heard = s.Heard[1:] },
		"with prev_kv":        func(s *Session) { s.Heard[0], s.Heard[1] = s.Heard[1], s.Heard[0] },
		"should not have":     func(s *Session) { s.Heard[2] = s.Heard[1] },
		"progress of":         func(s *Session) { s.Heard[0], s.Heard[2] = s.Heard[2], s.Heard[0] },
		"a response of":       func(s *Session) { s.Heard[1].Revision = 2 },
		"before it was creat": func(s *Session) { s.Created = 0 },
	} {
		w := newWritten()
		// One who saw all, and another whose account is spoiled.
		good := newWritten().Watchers[0]
		good.Name = "good"
		spoil(w.Watchers[0].Sessions[0])
		w.Watchers[0].NoPut = false
		w.Watchers[0].Key, w.Watchers[0].End = firstKey, afterKey
		w.Watchers = append(w.Watchers, good)
		if name == "prev_kv" {
			name = "came where"
		}
		expect(t, w.check(t), name)
	}
}

func TestPrevKVOfTheCompactedRevision(t *testing.T) {
	for compacted, expected := range map[int64]string{3: "", 2: "came where"} {
		w := newWritten()
		w.op(Op{Way: wayCompact, Then: []Step{{Revision: compacted}}, Succeeded: true, Revision: 3}, 40, 50)
		late := &Session{Endpoint: "jine", Start: 3, Created: 3, Heard: []Heard{{At: ms(70), Revision: 3, Events: []Event{{KV: two}}}}}
		// The one without is heard of first.
		w.Watchers = append([]*Watcher{{Name: "late", Key: everything, End: everything, Sessions: []*Session{late}}}, w.Watchers...)
		expect(t, w.check(t), expected)
	}
}

// leased is a history with a lease of a second, kept alive at 100, that ends with revision 3.
func leased(ended int, renewed int) written {
	w := written{newRecord()}
	const lease = 7
	first := KV{anchor(lease), "x", 2, 2, 1, lease}
	w.Leases = []*LeaseOp{
		{Lease: lease, TTL: time.Second, Call: ms(1), Return: ms(2), Outcome: outcomeOK},
		{Lease: lease, TTL: time.Second, Call: ms(renewed), Return: ms(renewed + 10), Outcome: outcomeOK, Keepalive: true},
	}
	put := putOf("x", lease, 2)
	put.Then[0].Key = anchor(lease)
	w.op(put, 5, 10)
	session := &Session{Endpoint: "jine", Start: 1, Created: 1}
	session.Heard = []Heard{
		{At: ms(12), Revision: 2, Events: []Event{{KV: first}}},
		{At: ms(ended), Revision: 3, Events: []Event{{Delete: true, KV: KV{Key: anchor(lease), Mod: 3}, Prev: &first}}},
	}
	w.Watchers = []*Watcher{{Name: "all", Key: everything, End: everything, Sessions: []*Session{session}}}
	return w
}

func TestLeases(t *testing.T) {
	expect(t, leased(1101, 100).check(t), "")
	expect(t, leased(1099, 100).check(t), "it expired at")
	expect(t, leased(1200, 1300).check(t), "and yet a request")
	expect(t, leased(1101, 100).check(t, 7), "keepalives for it were waiting")
	w := leased(1101, 100)
	w.op(Op{Way: wayRevoke, Lease: 7, Succeeded: true, Revision: 3}, 150, 200)
	w.Watchers[0].Sessions[0].Heard[1].At = ms(180)
	expect(t, w.check(t), "")
}
