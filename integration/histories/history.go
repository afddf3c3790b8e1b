package main

import (
	"fmt"
	"slices"
	"time"
)

// History is the store's, revision by revision, as watchers of everything saw it.
type History struct {
	// Events of revision r are at r; nothing is at 0 and 1.
	Events [][]Event
	// States after each revision.
	States []State
	// Earliest is when somebody had heard of a revision or a later one.
	Earliest []time.Duration
	// compacted are the revisions that somebody has asked to compact at.
	compacted map[int64]bool
	problems  []string
}

func (h *History) last() int64 { return int64(len(h.Events)) - 1 }

func (h *History) problem(format string, args ...any) {
	if len(h.problems) < 50 {
		h.problems = append(h.problems, fmt.Sprintf(format, args...))
	}
}

func (h *History) past(revision int64) (State, bool) {
	if revision < 1 || revision > h.last() {
		return nil, false
	}
	return h.States[revision], true
}

// buildHistory takes the union of what was seen; watchers that disagree are a problem.
func buildHistory(record *Record) *History {
	h := &History{Events: make([][]Event, newest(record)+1), compacted: map[int64]bool{}}
	for _, op := range record.Ops {
		if op.Way == wayCompact {
			h.compacted[op.Then[0].Revision] = true
		}
	}
	seenBy := map[int64]string{}
	for _, w := range record.Watchers {
		if w.Key != everything || w.NoPut || w.NoDelete {
			continue
		}
		for _, session := range w.Sessions {
			who := fmt.Sprintf("%s on %s", w.Name, session.Endpoint)
			for revision, events := range byRevision(session) {
				switch by, seen := seenBy[revision]; {
				case !seen:
					h.Events[revision], seenBy[revision] = events, who
				case h.sameHeard(h.Events[revision], events):
					// Where they differ, these have the prev_kv that the others were refused.
					h.Events[revision], seenBy[revision] = events, who
				case !h.sameHeard(events, h.Events[revision]):
					h.problem("revision %d is %v to %s, and %v to %s", revision, h.Events[revision], by, events, who)
				}
			}
		}
	}
	h.States = make([]State, len(h.Events))
	for revision := 1; revision < len(h.Events); revision++ {
		if revision > 1 && len(h.Events[revision]) == 0 {
			h.problem("revision %d was told of, and no watcher saw it", revision)
		}
		h.States[revision] = h.States[revision-1].apply(h.Events[revision])
		h.checkEvents(int64(revision))
	}
	h.findEarliest(record)
	return h
}

// checkEvents compares each event with the state before.
func (h *History) checkEvents(revision int64) {
	for _, e := range h.Events[revision] {
		before := h.States[revision-1].get(e.KV.Key)
		var previous *KV
		if before.Mod != 0 {
			previous = &before
		}
		if !samePrev(e.Prev, previous) {
			h.problem("revision %d: %s has prev_kv %v, and before it there was %v", revision, e, e.Prev, previous)
		}
		want := KV{Key: e.KV.Key, Mod: revision}
		if !e.Delete {
			want = KV{e.KV.Key, e.KV.Value, before.Create, revision, before.Version + 1, e.KV.Lease}
			if before.Mod == 0 {
				want.Create = revision
			}
		} else if previous == nil {
			h.problem("revision %d deletes %s, which was not there", revision, e.KV.Key)
		}
		if e.KV != want {
			h.problem("revision %d: the event's key is %+v, and must be %+v", revision, e.KV, want)
		}
	}
}

func newest(record *Record) int64 {
	last := int64(1)
	for _, op := range record.Ops {
		last = max(last, op.Revision)
	}
	for _, w := range record.Watchers {
		for _, session := range w.Sessions {
			last = max(last, session.Created)
			for _, heard := range session.Heard {
				last = max(last, heard.Revision)
				for _, e := range heard.Events {
					last = max(last, e.KV.Mod)
				}
			}
		}
	}
	return last
}

// byRevision groups the events of a session; where a revision comes in pieces they are put together, which the check of
// watchers finds.
func byRevision(session *Session) map[int64][]Event {
	found := map[int64][]Event{}
	for _, heard := range session.Heard {
		for _, e := range heard.Events {
			found[e.KV.Mod] = append(found[e.KV.Mod], e)
		}
	}
	return found
}

func (h *History) findEarliest(record *Record) {
	h.Earliest = make([]time.Duration, len(h.Events))
	for i := range h.Earliest {
		h.Earliest[i] = time.Duration(1<<63 - 1)
	}
	note := func(revision int64, at time.Duration) {
		h.Earliest[revision] = min(h.Earliest[revision], at)
	}
	for _, op := range record.Ops {
		if op.Outcome == outcomeOK {
			note(op.Revision, op.Return)
		}
	}
	for _, w := range record.Watchers {
		for _, session := range w.Sessions {
			for _, heard := range session.Heard {
				note(heard.Revision, heard.At)
			}
		}
	}
	for i := len(h.Earliest) - 2; i >= 0; i-- {
		h.Earliest[i] = min(h.Earliest[i], h.Earliest[i+1])
	}
}

// checkWatchers holds every session against the history.
func (h *History) checkWatchers(record *Record) {
	for _, w := range record.Watchers {
		for _, session := range w.Sessions {
			h.checkSession(record, w, session)
		}
	}
}

func (h *History) checkSession(record *Record, w *Watcher, session *Session) {
	who := fmt.Sprintf("%s on %s, begun at %d", w.Name, session.Endpoint, session.Start)
	next := session.Start
	if next == 0 {
		next = session.Created + 1
	}
	if session.Created == 0 {
		h.problem("%s: something was heard before it was created", who)
	}
	if session.Compacted != 0 && !h.mayBeCompacted(record, session) {
		h.problem("%s at %s: it was told of a compaction at %d", who, seconds(session.End), session.Compacted)
	}
	for _, heard := range session.Heard {
		reaches := heard.Revision
		if len(heard.Events) > 0 {
			reaches = heard.Events[len(heard.Events)-1].KV.Mod
			if heard.Revision < reaches {
				h.problem("%s: a response of revision %d brings an event of %d", who, heard.Revision, reaches)
			}
		}
		want := h.wanted(w, next, reaches)
		if len(heard.Events) == 0 && len(want) > 0 {
			h.problem("%s at %s: progress of revision %d before %d events from %s on", who, seconds(heard.At), heard.Revision, len(want), want[0])
		} else if !h.sameHeard(heard.Events, want) {
			h.problem("%s at %s: %s", who, seconds(heard.At), h.difference(heard.Events, want))
		}
		next = max(next, reaches+1)
	}
}

// mayBeCompacted says whether somebody has asked for the compaction that ended a session, and it is above what was to come next.
func (h *History) mayBeCompacted(record *Record, session *Session) bool {
	next := session.Start
	for _, heard := range session.Heard {
		next = max(next, heard.Revision)
	}
	return session.Compacted >= next && slices.ContainsFunc(record.Ops, func(op *Op) bool {
		return op.Way == wayCompact && op.Then[0].Revision == session.Compacted && op.Call < session.End && op.Outcome != outcomeFailed
	})
}

// wanted are the events a watcher is to get of the revisions from..to.
func (h *History) wanted(w *Watcher, from, to int64) []Event {
	var want []Event
	for revision := max(from, 1); revision <= to && revision <= h.last(); revision++ {
		for _, e := range h.Events[revision] {
			if w.wants(e) {
				want = append(want, e)
			}
		}
	}
	return want
}

// sameHeard compares what a watcher heard with what it must hear. Of the very revision that is compacted a watcher may hear
// without prev_kv, as in etcd: that one cannot be read any more.
func (h *History) sameHeard(heard, want []Event) bool {
	return slices.EqualFunc(heard, want, func(heard, want Event) bool {
		if heard.Prev == nil && h.compacted[heard.KV.Mod] {
			want.Prev = nil
		}
		return sameEvent(heard, want)
	})
}

func (h *History) difference(got, want []Event) string {
	for i := range max(len(got), len(want)) {
		switch {
		case i >= len(got):
			return fmt.Sprintf("%s is missing, %d of %d came", want[i], len(got), len(want))
		case i >= len(want):
			return fmt.Sprintf("%s came and should not have, %d instead of %d", got[i], len(got), len(want))
		case !h.sameHeard(got[i:i+1], want[i:i+1]):
			return fmt.Sprintf("%s with prev_kv %v came where %s with prev_kv %v was next", got[i], got[i].Prev, want[i], want[i].Prev)
		}
	}
	return "the same"
}

func sortedKeys[V any](m map[int64]V) []int64 {
	var all []int64
	for key := range m {
		all = append(all, key)
	}
	slices.Sort(all)
	return all
}
