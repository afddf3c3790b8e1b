package main

import (
	"context"
	"fmt"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// Verdict counts what became of the recorders' writes.
type Verdict struct {
	acked, ackedGroups, unknown, whole, absent int
}

// verify stops the writers and holds what they noted against what the watches saw and against
// what is stored.
func (rs *Recorders) verify(r *Run) (total Verdict, err error) {
	rs.stop()
	rs.writers.Wait()
	for _, one := range rs.list {
		verdict, err := one.verify(r)
		total.acked += verdict.acked
		total.ackedGroups += verdict.ackedGroups
		total.unknown += verdict.unknown
		total.whole += verdict.whole
		total.absent += verdict.absent
		if err != nil {
			return total, fmt.Errorf("recorder %s: %w", one.prefix, err)
		}
	}
	return total, nil
}

func (rs *Recorders) close() {
	rs.stop()
	for _, one := range rs.list {
		_ = one.client.Close()
		one.watched.Wait()
	}
}

func (o *recorder) verify(r *Run) (v Verdict, err error) {
	if err := r.eventually(30*time.Second, func() error { return o.watchIsComplete(r.ctx) }); err != nil {
		return v, err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	// Each value is written to a key at most once, so an event belongs to one write.
	events := map[[2]string]int64{}
	last := int64(0)
	for _, event := range o.events {
		id := [2]string{event.key, event.value}
		if revision, twice := events[id]; twice {
			return v, fmt.Errorf("%s=%s was written at %d and again at %d", event.key, event.value, revision, event.revision)
		}
		if event.revision < last {
			return v, fmt.Errorf("the watch went back from revision %d to %d", last, event.revision)
		}
		events[id], last = event.revision, event.revision
	}
	for _, w := range o.writes {
		found := map[int64]int{}
		for _, key := range w.keys {
			id := [2]string{key, w.value}
			found[events[id]]++
			delete(events, id)
		}
		whole := found[0] == 0
		switch {
		case w.revision > 0 && found[w.revision] != len(w.keys):
			return v, fmt.Errorf("%v=%s was acknowledged at %d and is found at %v", w.keys, w.value, w.revision, found)
		case w.revision > 0:
			v.acked++
			if len(w.keys) > 1 {
				v.ackedGroups++
			}
		case len(found) > 1:
			return v, fmt.Errorf("%v=%s is torn: %v", w.keys, w.value, found)
		case whole:
			v.unknown++
			v.whole++
		default:
			v.unknown++
			v.absent++
		}
	}
	if len(events) > 0 {
		return v, fmt.Errorf("%d events are nobody's, such as %v", len(events), firstKey(events))
	}
	return v, nil
}

// watchIsComplete compares what is stored with the last that the watch has said of each key.
func (o *recorder) watchIsComplete(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	stored, err := o.client.Get(ctx, o.prefix, clientv3.WithPrefix())
	if err != nil {
		return err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ended != nil {
		return fmt.Errorf("its watch has ended: %w", o.ended)
	}
	last := map[string]seen{}
	for _, event := range o.events {
		last[event.key] = event
	}
	for _, kv := range stored.Kvs {
		event := last[string(kv.Key)]
		if event.revision != kv.ModRevision || event.value != string(kv.Value) {
			return fmt.Errorf("%s is stored as %s at %d, the watch says %q at %d",
				kv.Key, kv.Value, kv.ModRevision, event.value, event.revision)
		}
	}
	if len(stored.Kvs) != len(last) {
		return fmt.Errorf("%d keys are stored, the watch knows %d", len(stored.Kvs), len(last))
	}
	return nil
}

func firstKey(events map[[2]string]int64) string {
	for id, revision := range events {
		return fmt.Sprintf("%s=%s at %d", id[0], id[1], revision)
	}
	return ""
}
