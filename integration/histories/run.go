package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// Run is one history: a setup of its own, clients, faults, and the checks.
type Run struct {
	*Options
	setup    *Setup
	seed     uint64
	dir      string
	random   *rand.Rand
	record   *Record
	inFlight atomic.Int64
	leases   leases
	streams  []*stream
	// kept are leases kept alive at every jine at once.
	kept      []int64
	keptUntil time.Duration
	problems  []string
	opened    []*connection
}

const (
	clients = 8
	keepers = 4
	// observer is the number of whoever begins and ends the run.
	observer = clients + keepers + 1
)

// Result is what a run has come to.
type Result struct {
	setup               string
	seed                uint64
	ok, failed, unknown int
	revisions           int64
	events              int
	faults              int
	problems            []string
	// broken: it never came to a history.
	broken bool
	took   time.Duration
}

func runHistory(ctx context.Context, o *Options, name string, seed uint64) (*Result, error) {
	dir := filepath.Join(o.dir, fmt.Sprintf("%s-%d", name, seed))
	_ = os.RemoveAll(dir)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	setup, err := newSetup(name, dir, o)
	if err != nil {
		return nil, err
	}
	started := time.Now()
	r := &Run{Options: o, setup: setup, seed: seed, dir: dir, random: rand.New(rand.NewPCG(seed, 1)), record: newRecord()}
	defer r.setup.Stop()
	if err := r.setup.Start(); err != nil {
		return nil, err
	}
	if err := r.await(ctx, 60*time.Second); err != nil {
		return nil, fmt.Errorf("%s did not start: %w", name, err)
	}
	r.play(ctx)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	for _, c := range r.opened {
		c.client.Close()
	}
	r.setup.Stop()
	result := r.check()
	result.took = time.Since(started)
	if len(result.problems) > 0 {
		r.keep(result)
	} else if !o.keep {
		_ = os.RemoveAll(dir)
	}
	return result, nil
}

// await until every jine answers a linearizable read.
func (r *Run) await(ctx context.Context, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for _, jine := range r.setup.jines {
		to, err := connect(jine.Name, jine.url())
		if err != nil {
			return err
		}
		defer to.client.Close()
		for {
			attempt, cancel := context.WithTimeout(ctx, 3*time.Second)
			_, err := to.client.Get(attempt, "k/0")
			cancel()
			if err == nil {
				break
			}
			if ended := r.setup.Ended(); ended != nil {
				return ended
			}
			if ctx.Err() != nil {
				return fmt.Errorf("%s does not answer: %w", jine.Name, err)
			}
			sleep(ctx, 100*time.Millisecond)
		}
	}
	return nil
}

// connections are one to each jine, for one client alone, the home one first.
func (r *Run) connections(home int) []*connection {
	var all []*connection
	for i := range r.setup.jines {
		jine := r.setup.jines[(home+i)%len(r.setup.jines)]
		to, err := connect(jine.Name, jine.url())
		if err != nil {
			r.problem("%v", err)
			continue
		}
		r.opened = append(r.opened, to)
		all = append(all, to)
	}
	return all
}

func (r *Run) problem(format string, args ...any) {
	r.record.mu.Lock()
	defer r.record.mu.Unlock()
	r.problems = append(r.problems, fmt.Sprintf(format, args...))
}

func (r *Run) say(format string, args ...any) {
	if r.verbose {
		fmt.Printf("%s %7.2fs  %s\n", r.setup.name, r.record.now().Seconds(), fmt.Sprintf(format, args...))
	}
}

// play lets clients and watchers loose, strikes, heals, and waits for everybody to see the end.
func (r *Run) play(ctx context.Context) {
	watching, endWatching := context.WithCancel(ctx)
	defer endWatching()
	var watchers, all sync.WaitGroup
	r.startWatchers(watching, &watchers)
	working, endWork := context.WithCancel(ctx)
	defer endWork()
	for i := range clients + keepers {
		client := r.client(i)
		all.Go(func() {
			if client.id < clients {
				client.run(working)
			} else {
				(&keeper{client}).run(working)
			}
		})
	}
	all.Go(func() { r.compactor().compactNowAndThen(working) })
	keeping, endKeeping := context.WithCancel(ctx)
	defer endKeeping()
	var patient sync.WaitGroup
	for i := range 2 {
		r.steadfast(keeping, &patient, uint64(i))
	}
	r.strike(ctx)
	r.setup.heal()
	if err := r.await(ctx, 60*time.Second); err != nil {
		r.problem("after all faults: %v", err)
	}
	sleep(ctx, time.Second)
	endWork()
	all.Wait()
	r.keptUntil = r.record.now()
	endKeeping()
	patient.Wait()
	r.finish(ctx)
	endWatching()
	watchers.Wait()
}

func (r *Run) client(i int) Client {
	return Client{id: i, record: r.record, connections: r.connections(0), random: rand.New(rand.NewPCG(r.seed, uint64(100+i))),
		inFlight: &r.inFlight, seen: map[string]KV{}, leases: &r.leases, pause: r.pause}
}

// compactor never goes beyond what a watcher of everything has seen, so that one of them sees each revision. A jine that stands still
// is overtaken.
func (r *Run) compactor() *compactor {
	return &compactor{r.client(clients + keepers), func() int64 {
		r.record.mu.Lock()
		defer r.record.mu.Unlock()
		seen := int64(0)
		for i := range r.setup.jines {
			seen = max(seen, r.record.Watchers[i].Reached)
		}
		return seen
	}}
}

// strike brings one fault after the other: of jine, and beside them of what jine stores in.
func (r *Run) strike(ctx context.Context) {
	end := time.Now().Add(r.duration)
	var lanes sync.WaitGroup
	for lane, faults := range r.setup.faults() {
		faults = slices.DeleteFunc(faults, func(f Fault) bool { return !strings.Contains(f.name, r.only) })
		if len(faults) == 0 {
			continue
		}
		random := rand.New(rand.NewPCG(r.seed, uint64(10+lane)))
		lanes.Go(func() { r.strikeLane(ctx, faults, random, end) })
	}
	lanes.Wait()
	if r.longStop > 0 && ctx.Err() == nil && r.setup.Ended() == nil {
		sleep(ctx, time.Second)
		r.inflict(ctx, r.setup.longStop(r.seed), r.longStop)
	}
}

func (r *Run) strikeLane(ctx context.Context, faults []Fault, random *rand.Rand, end time.Time) {
	order := random.Perm(len(faults))
	for n := 0; ctx.Err() == nil; n++ {
		sleep(ctx, time.Second+time.Duration(random.Int64N(int64(4*time.Second))))
		left := time.Until(end)
		fault := faults[order[n%len(order)]]
		if left <= 0 || !r.inflict(ctx, fault, fault.lasts(random, left)) {
			return
		}
	}
}

// inflict says whether there is sense in going on.
func (r *Run) inflict(ctx context.Context, fault Fault, lasts time.Duration) bool {
	inFlight := r.inFlight.Load()
	hit, err := fault.strike()
	if err != nil {
		r.problem("%s: %v", fault.name, err)
	}
	r.noteFault(fmt.Sprintf("%s, %d operations in flight", fault.describe(hit, lasts), inFlight))
	sleep(ctx, lasts)
	if err := fault.mend(); err != nil {
		r.problem("after %s: %v", fault.name, err)
	}
	if lasts > 0 {
		r.noteFault("    end of " + fault.describe(hit, 0))
	}
	if err := r.setup.Ended(); err != nil {
		r.problem("after %s: %v", fault.name, err)
		return false
	}
	return true
}

func (r *Run) noteFault(text string) {
	r.record.mu.Lock()
	r.record.Faults = append(r.record.Faults, fmt.Sprintf("%s %s", seconds(r.record.now()), text))
	r.record.mu.Unlock()
	r.say("%s", text)
}

func (r *Run) startWatchers(ctx context.Context, group *sync.WaitGroup) {
	all := func(name string) *Watcher { return &Watcher{Name: name, Key: everything, End: everything} }
	add := func(home int, again begin, life time.Duration, watchers ...*Watcher) {
		n := uint64(1000 + len(r.streams))
		s := &stream{watchers: watchers, connections: r.connections(home), random: rand.New(rand.NewPCG(r.seed, n)), record: r.record, again: again, life: life}
		if again == beginNext && life == 0 {
			// Stays where it is.
			s.connections = s.connections[:1]
		}
		r.streams = append(r.streams, s)
		r.record.Watchers = append(r.record.Watchers, watchers...)
		group.Go(func() { s.run(ctx) })
		group.Go(func() { s.keepAsking(ctx, rand.New(rand.NewPCG(r.seed, n+500))) })
	}
	for i, jine := range r.setup.jines {
		add(i, beginNext, 0, all("watcher of all at "+jine.Name))
	}
	add(0, beginNext, 3*time.Second, all("wanderer"),
		&Watcher{Name: "wanderer of one key", Key: key(1)},
		&Watcher{Name: "wanderer of some, deletes only", Key: key(0), End: key(3), NoPut: true},
		&Watcher{Name: "wanderer of leases", Key: "l/", End: "l0"})
	add(0, beginNow, 2*time.Second, all("watcher from now on"), &Watcher{Name: "watcher of puts from now on", Key: firstKey, End: afterKey, NoDelete: true})
	add(1, beginPast, 2*time.Second, &Watcher{Name: "watcher of the past", Key: firstKey, End: afterKey})
}

// steadfast keeps a lease alive at every jine at once, patiently: so it never expires.
func (r *Run) steadfast(ctx context.Context, group *sync.WaitGroup, n uint64) {
	connections := r.connections(int(n))
	to := connections[0]
	lease := int64(n + 1)
	ttl := int64(2 + n)
	op := &LeaseOp{Lease: lease, TTL: time.Duration(ttl) * time.Second, Endpoint: to.endpoint, Call: r.record.now()}
	_, err := etcdserverpb.NewLeaseClient(to.client.ActiveConnection()).LeaseGrant(ctx, &etcdserverpb.LeaseGrantRequest{TTL: ttl, ID: lease})
	op.Return, op.Outcome = r.record.now(), outcomeOf(err)
	r.record.addLease(op)
	put := &Op{Way: wayPut, Client: observer, Then: []Step{{Kind: stepPut, Key: anchor(lease), Value: fmt.Sprint("steadfast", n), Lease: lease}}}
	if err == nil {
		to.run(ctx, r.record, put)
	}
	if err != nil || put.Outcome != outcomeOK {
		r.problem("no lease could be had at the beginning: %v %s", err, put.Error)
		return
	}
	r.kept = append(r.kept, lease)
	for _, to := range connections {
		group.Go(func() {
			for ctx.Err() == nil {
				r.keepSteadfast(ctx, to, lease, ttl)
				sleep(ctx, 500*time.Millisecond)
			}
		})
	}
}

// keepSteadfast sends keepalives on one stream until it ends, without waiting for answers for long.
func (r *Run) keepSteadfast(ctx context.Context, to *connection, lease, ttl int64) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := etcdserverpb.NewLeaseClient(to.client.ActiveConnection()).LeaseKeepAlive(ctx)
	if err != nil {
		return
	}
	for {
		op := &LeaseOp{Keepalive: true, Lease: lease, TTL: time.Duration(ttl) * time.Second, Endpoint: to.endpoint, Call: r.record.now()}
		if stream.Send(&etcdserverpb.LeaseKeepAliveRequest{ID: lease}) != nil {
			return
		}
		response, err := stream.Recv()
		op.Return, op.Outcome = r.record.now(), outcomeOf(err)
		if err == nil {
			op.Gone = response.TTL <= 0
		} else {
			op.Error = err.Error()
		}
		r.record.addLease(op)
		if err != nil {
			return
		}
		sleep(ctx, 500*time.Millisecond)
	}
}

// finish waits until every lease has ended that nobody keeps alive, and until every watcher has all there is.
func (r *Run) finish(ctx context.Context) {
	connections := r.connections(0)
	for _, lease := range r.kept {
		op := &Op{Way: wayRevoke, Client: observer, Lease: lease}
		connections[0].run(ctx, r.record, op)
	}
	deadline := time.Now().Add(40 * time.Second)
	var last int64
	for {
		op := &Op{Way: wayRange, Client: observer, Then: []Step{{Key: "l/", End: "l0"}}}
		connections[0].run(ctx, r.record, op)
		if op.Outcome == outcomeOK && len(op.Answers[0].KVs) == 0 {
			last = op.Revision
			break
		}
		if time.Now().After(deadline) || ctx.Err() != nil {
			r.problem("leases that nobody keeps alive do not expire: %s", op)
			return
		}
		sleep(ctx, 200*time.Millisecond)
	}
	for _, s := range r.streams {
		for s.again == beginNext && !s.reached(last) {
			if time.Now().After(deadline) || ctx.Err() != nil {
				r.problem("%s does not get to revision %d: it is at %d", s.watchers[0].Name, last, s.watchers[0].Reached)
				break
			}
			s.askForProgress()
			sleep(ctx, 50*time.Millisecond)
		}
	}
	r.compareAll(ctx, connections)
}

// compareAll reads all keys at every jine, and what etcd hashes of their history: they must be the same.
func (r *Run) compareAll(ctx context.Context, connections []*connection) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	var first []KV
	var hash *clientv3.HashKVResponse
	for i, to := range connections {
		response, err := to.client.Get(ctx, everything, clientv3.WithFromKey())
		if err != nil {
			r.problem("%s: the last read: %v", to.endpoint, err)
			continue
		}
		all := kvs(response.Kvs)
		hashed, err := to.client.HashKV(ctx, to.client.Endpoints()[0], response.Header.Revision)
		if err != nil {
			r.problem("%s: HashKV: %v", to.endpoint, err)
			continue
		}
		if i == 0 {
			first, hash = all, hashed
			continue
		}
		if !slices.Equal(first, all) {
			r.problem("%s holds %v, and %s holds %v", connections[0].endpoint, first, to.endpoint, all)
		}
		if hash != nil && (hash.Hash != hashed.Hash || hash.CompactRevision != hashed.CompactRevision) {
			r.problem("%s hashes its history to %d (compacted at %d), and %s to %d (compacted at %d)", connections[0].endpoint, hash.Hash,
				hash.CompactRevision, to.endpoint, hashed.Hash, hashed.CompactRevision)
		}
	}
}

func (r *Run) check() *Result {
	h := buildHistory(r.record)
	claims := findWriters(h, r.record)
	claims.checkReadsOfThePast()
	claims.checkLinearizable(filepath.Join(r.dir, "history.html"))
	h.checkWatchers(r.record)
	claims.checkLeases(r.kept, r.keptUntil)
	result := &Result{setup: r.setup.name, seed: r.seed, revisions: h.last(), faults: r.faults(), problems: append(r.problems, h.problems...)}
	for _, op := range r.record.Ops {
		result.count(op.Outcome, op.Error)
	}
	for _, op := range r.record.Leases {
		result.count(op.Outcome, op.Error)
	}
	for _, w := range r.record.Watchers {
		for _, session := range w.Sessions {
			for _, heard := range session.Heard {
				result.events += len(heard.Events)
			}
		}
	}
	if total := result.ok + result.failed + result.unknown; result.ok*10 < total*6 {
		result.problems = append(result.problems, fmt.Sprintf("only %d of %d operations succeeded", result.ok, total))
	}
	return result
}

func (r *Run) faults() int {
	return len(slices.DeleteFunc(slices.Clone(r.record.Faults), func(text string) bool { return strings.Contains(text, "end of") }))
}

func (result *Result) count(outcome Outcome, text string) {
	switch {
	// An answer like any other.
	case outcome == outcomeOK, text == leaseNotFound:
		result.ok++
	case outcome == outcomeFailed:
		result.failed++
	default:
		result.unknown++
	}
}

// keep writes down what failed, for reading.
func (r *Run) keep(result *Result) {
	var lines []string
	for _, op := range r.record.Ops {
		lines = append(lines, op.String())
	}
	text, err := json.MarshalIndent(r.record, "", " ")
	err = errors.Join(err,
		os.WriteFile(filepath.Join(r.dir, "history.json"), text, 0o644),
		os.WriteFile(filepath.Join(r.dir, "operations.txt"), []byte(strings.Join(lines, "\n")), 0o644),
		os.WriteFile(filepath.Join(r.dir, "faults.txt"), []byte(strings.Join(r.record.Faults, "\n")), 0o644),
		os.WriteFile(filepath.Join(r.dir, "problems.txt"), []byte(strings.Join(result.problems, "\n")), 0o644))
	if err != nil {
		fmt.Println(err)
	}
}
