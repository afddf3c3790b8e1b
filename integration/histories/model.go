package main

import (
	"slices"
	"strings"
)

// State is the keys at one revision, sorted. Never changed once made.
type State []KV

func (s State) find(key string) (int, bool) {
	return slices.BinarySearchFunc(s, key, func(kv KV, key string) int { return strings.Compare(kv.Key, key) })
}

func (s State) get(key string) KV {
	if i, found := s.find(key); found {
		return s[i]
	}
	return KV{Key: key}
}

func (s State) in(key, end string) []KV {
	var found []KV
	for _, kv := range s {
		if contains(key, end, kv.Key) {
			found = append(found, kv)
		}
	}
	return found
}

func (s State) with(kv KV) State {
	i, found := s.find(kv.Key)
	next := slices.Clone(s)
	if found {
		next[i] = kv
		return next
	}
	return slices.Insert(next, i, kv)
}

func (s State) without(key string) State {
	if i, found := s.find(key); found {
		return slices.Delete(slices.Clone(s), i, i+1)
	}
	return s
}

// apply makes the state that events lead to.
func (s State) apply(events []Event) State {
	for _, e := range events {
		if e.Delete {
			s = s.without(e.KV.Key)
		} else {
			s = s.with(e.KV)
		}
	}
	return s
}

func (c Compare) holds(s State) bool {
	kv := s.get(c.Key)
	switch c.Target {
	case targetMod:
		return kv.Mod == c.Number
	case targetVersion:
		return kv.Version == c.Number
	case targetCreate:
		return kv.Create == c.Number
	default:
		return kv.Mod != 0 && kv.Value == c.Text
	}
}

// Evaluated is what an operation answers and changes on a state.
type Evaluated struct {
	succeeded bool
	answers   []Answer
	events    []Event
}

// evaluate executes an operation as etcd does, on the state at a revision; past gives the states before.
func evaluate(op *Op, s State, revision int64, past func(int64) (State, bool)) Evaluated {
	if op.Way == wayRevoke {
		return Evaluated{succeeded: true, events: revoke(s, op.Lease, revision)}
	}
	result := Evaluated{succeeded: true}
	for _, c := range op.Compares {
		result.succeeded = result.succeeded && c.holds(s)
	}
	steps := op.Then
	if !result.succeeded {
		steps = op.Else
	}
	for _, step := range steps {
		s = result.execute(step, s, revision+1, past)
	}
	return result
}

func (r *Evaluated) execute(step Step, s State, next int64, past func(int64) (State, bool)) State {
	switch step.Kind {
	case stepPut:
		before := s.get(step.Key)
		kv := KV{Key: step.Key, Value: step.Value, Create: before.Create, Mod: next, Version: before.Version + 1, Lease: step.Lease}
		event := Event{KV: kv}
		answer := Answer{}
		if before.Mod == 0 {
			kv.Create = next
			event.KV = kv
		} else {
			event.Prev = &before
			answer.KVs = []KV{before}
		}
		r.events = append(r.events, event)
		r.answers = append(r.answers, answer)
		return s.with(kv)
	case stepDelete:
		gone := s.in(step.Key, step.End)
		for _, kv := range gone {
			r.events = append(r.events, Event{Delete: true, KV: KV{Key: kv.Key, Mod: next}, Prev: &kv})
			s = s.without(kv.Key)
		}
		r.answers = append(r.answers, Answer{KVs: gone, Count: int64(len(gone))})
		return s
	default:
		read := s
		if step.Revision != 0 {
			if old, known := past(step.Revision); known {
				read = old
			}
		}
		found := read.in(step.Key, step.End)
		r.answers = append(r.answers, Answer{KVs: found, Count: int64(len(found))})
		return s
	}
}

// revoke deletes what is attached to a lease, in key order.
func revoke(s State, lease, revision int64) []Event {
	var events []Event
	for _, kv := range s {
		if kv.Lease == lease {
			events = append(events, Event{Delete: true, KV: KV{Key: kv.Key, Mod: revision + 1}, Prev: &kv})
		}
	}
	return events
}

func sameEvents(a, b []Event) bool {
	return slices.EqualFunc(a, b, sameEvent)
}

func sameEvent(a, b Event) bool {
	return a.Delete == b.Delete && a.KV == b.KV && samePrev(a.Prev, b.Prev)
}

func samePrev(a, b *KV) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}

func sameAnswers(a, b []Answer) bool {
	return slices.EqualFunc(a, b, func(a, b Answer) bool { return a.Count == b.Count && slices.Equal(a.KVs, b.KVs) })
}
