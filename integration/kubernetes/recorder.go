package main

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

const (
	recorders = 8
	// writersPerRecorder share a recorder's connection, so that many requests are under way.
	writersPerRecorder = 4
	slots              = 16
)

// Recorders write keys of their own through the datastore, note what was acknowledged, and
// watch what they wrote.
type Recorders struct {
	list     []*recorder
	ctx      context.Context
	stop     context.CancelFunc
	writers  sync.WaitGroup
	inFlight atomic.Int32
	acks     atomic.Int64
	// hurry makes them write without a pause, as they do around a fault.
	hurry atomic.Bool
}

type recorder struct {
	prefix  string
	client  *clientv3.Client
	mu      sync.Mutex
	writes  []write
	events  []seen
	ended   error
	watched sync.WaitGroup
	from    int64
}

// write is one attempt. Its value tells it from all others of its keys.
type write struct {
	keys     []string
	value    string
	revision int64 // 0: not acknowledged
}

// seen is one event of the watch.
type seen struct {
	key, value string
	revision   int64
}

func startRecorders(ctx context.Context, d Datastore) (*Recorders, error) {
	rs := &Recorders{}
	rs.ctx, rs.stop = context.WithCancel(ctx)
	for i := range recorders {
		client, err := etcdClient(d)
		if err != nil {
			return nil, err
		}
		r := &recorder{prefix: fmt.Sprintf("/recorder/%d/", i), client: client}
		now, err := client.Get(ctx, r.prefix, clientv3.WithPrefix(), clientv3.WithCountOnly())
		if err != nil {
			return nil, err
		}
		r.from = now.Header.Revision + 1
		r.watched.Add(1)
		go r.watch(ctx)
		for w := range writersPerRecorder {
			rs.writers.Add(1)
			go func() {
				defer rs.writers.Done()
				rs.write(r, fmt.Sprintf("%s%d/", r.prefix, w))
			}()
		}
		rs.list = append(rs.list, r)
	}
	return rs, nil
}

// watch notes every event; the client resumes it after a loss of its connection.
func (r *recorder) watch(ctx context.Context) {
	defer r.watched.Done()
	for response := range r.client.Watch(ctx, r.prefix, clientv3.WithPrefix(), clientv3.WithRev(r.from)) {
		r.mu.Lock()
		if err := response.Err(); err != nil {
			r.ended = err
		}
		for _, event := range response.Events {
			r.events = append(r.events, seen{string(event.Kv.Key), string(event.Kv.Value), event.Kv.ModRevision})
		}
		r.mu.Unlock()
	}
}

// write puts single keys and groups of three by turns, one request after the other.
func (rs *Recorders) write(r *recorder, prefix string) {
	revisions := make([]int64, slots) // of each group, as far as this writer knows
	for n := 1; rs.ctx.Err() == nil; n++ {
		slot := n / 2 % slots
		w := write{value: strconv.Itoa(n), keys: []string{fmt.Sprintf("%sput/%d", prefix, slot)}}
		if n%2 == 0 {
			group := fmt.Sprintf("%sgroup/%d/", prefix, slot)
			w.keys = []string{group + "a", group + "b", group + "c"}
		}
		var err error
		if w.revision, err = rs.attempt(r, w, revisions[slot]); err == nil && w.revision > 0 && n%2 == 0 {
			revisions[slot] = w.revision
		}
		if err == nil {
			rs.acks.Add(1)
		}
		r.mu.Lock()
		r.writes = append(r.writes, w)
		r.mu.Unlock()
		if err != nil || w.revision == 0 {
			// The outcome is unknown: learn the group's revision before it is written again.
			revisions = r.learn(rs.ctx, prefix)
		}
		if !rs.hurry.Load() {
			time.Sleep(100 * time.Millisecond)
		}
	}
}

// attempt sends one write and answers the revision at which it was acknowledged.
func (rs *Recorders) attempt(r *recorder, w write, known int64) (int64, error) {
	// What is under way when the recorders are stopped is brought to its end.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(rs.ctx), time.Minute)
	defer cancel()
	rs.inFlight.Add(1)
	defer rs.inFlight.Add(-1)
	if len(w.keys) == 1 {
		response, err := r.client.Put(ctx, w.keys[0], w.value)
		if err != nil {
			return 0, err
		}
		return response.Header.Revision, nil
	}
	var puts []clientv3.Op
	for _, key := range w.keys {
		puts = append(puts, clientv3.OpPut(key, w.value))
	}
	response, err := r.client.Txn(ctx).If(clientv3.Compare(clientv3.ModRevision(w.keys[0]), "=", known)).Then(puts...).Commit()
	if err != nil {
		return 0, err
	}
	if !response.Succeeded {
		// An attempt that had failed took place after all, after the group was read.
		return 0, nil
	}
	return response.Header.Revision, nil
}

func (r *recorder) learn(ctx context.Context, prefix string) []int64 {
	revisions := make([]int64, slots)
	for ctx.Err() == nil {
		try, cancel := context.WithTimeout(ctx, 10*time.Second)
		response, err := r.client.Get(try, prefix+"group/", clientv3.WithPrefix())
		cancel()
		if err != nil {
			time.Sleep(100 * time.Millisecond)
			continue
		}
		for _, kv := range response.Kvs {
			var slot int
			var letter string
			if _, err := fmt.Sscanf(string(kv.Key[len(prefix):]), "group/%d/%1s", &slot, &letter); err == nil && slot < slots {
				revisions[slot] = kv.ModRevision
			}
		}
		break
	}
	return revisions
}
