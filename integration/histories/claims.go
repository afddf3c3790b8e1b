package main

import (
	"slices"
)

// claims says who wrote which revision: an operation, or the end of a lease.
type claims struct {
	h      *History
	record *Record
	writer []*Op
	// expired are the leases whose end no revoke explains, by revision.
	expired map[int64]int64
	ended   map[int64]int64
}

// findWriters gives every revision to the operation that wrote it. What is left over is a problem.
func findWriters(h *History, record *Record) *claims {
	c := &claims{h: h, record: record, writer: make([]*Op, len(h.Events)), expired: map[int64]int64{}, ended: map[int64]int64{}}
	for revision, events := range h.Events {
		for _, e := range events {
			if e.Delete && isAnchor(e.KV.Key) && e.Prev != nil {
				c.ended[int64(revision)] = e.Prev.Lease
			}
		}
	}
	for _, op := range record.Ops {
		if op.Outcome == outcomeOK && op.Way != wayCompact && op.Way != waySerializable {
			c.acknowledged(op)
		}
	}
	c.matchUnknown()
	c.expiries()
	c.leftOver()
	return c
}

func isAnchor(key string) bool { return len(key) > 2 && key[:2] == "l/" }

// acknowledged checks an answer against the state at its revision: an operation that wrote made that revision itself.
func (c *claims) acknowledged(op *Op) {
	h := c.h
	if before, known := h.past(op.Revision - 1); known && op.writes() {
		result := evaluate(op, before, op.Revision-1, h.past)
		// Of two that delete the same, at one revision, the second deletes nothing, and says so.
		if len(result.events) > 0 && sameEvents(result.events, h.Events[op.Revision]) && answers(op, result) {
			c.claim(op, op.Revision)
			return
		}
	}
	now, _ := h.past(op.Revision)
	result := evaluate(op, now, op.Revision, h.past)
	if len(result.events) > 0 {
		h.problem("%s: it should have written %v, and revision %d is %v", op, result.events, op.Revision, h.Events[op.Revision])
		return
	}
	if !answers(op, result) {
		h.problem("%s: the answer must be %v with succeeded %t", op, result.answers, result.succeeded)
	}
}

// answers says whether what was answered is what must be.
func answers(op *Op, result Evaluated) bool {
	return op.Way == wayRevoke || op.Succeeded == result.succeeded && sameAnswers(op.Answers, result.answers)
}

func (c *claims) claim(op *Op, revision int64) {
	if other := c.writer[revision]; other != nil {
		c.h.problem("revision %d was given to two: %s, and %s", revision, other, op)
		return
	}
	c.writer[revision] = op
}

// matchUnknown finds revisions that operations of unknown outcome wrote: each such revision goes to one that could have (augmenting paths, as
// several deletes may be alike).
func (c *claims) matchUnknown() {
	var unknown []*Op
	for _, op := range c.record.Ops {
		if op.Outcome == outcomeUnknown && op.writes() {
			unknown = append(unknown, op)
		}
	}
	candidates := map[int64][]*Op{}
	for revision := int64(2); revision <= c.h.last(); revision++ {
		if c.writer[revision] != nil {
			continue
		}
		for _, op := range unknown {
			if c.mayHaveWritten(op, revision) {
				candidates[revision] = append(candidates[revision], op)
			}
		}
	}
	given := map[*Op]int64{}
	for _, revision := range sortedKeys(candidates) {
		augment(revision, candidates, given, map[*Op]bool{})
	}
	for op, revision := range given {
		op.Revision = revision
		c.claim(op, revision)
	}
}

func augment(revision int64, candidates map[int64][]*Op, given map[*Op]int64, tried map[*Op]bool) bool {
	for _, op := range candidates[revision] {
		if tried[op] {
			continue
		}
		tried[op] = true
		other, taken := given[op]
		if !taken || augment(other, candidates, given, tried) {
			given[op] = revision
			return true
		}
	}
	return false
}

func (c *claims) mayHaveWritten(op *Op, revision int64) bool {
	if op.Call > c.h.Earliest[revision] {
		return false
	}
	before := c.h.States[revision-1]
	result := evaluate(op, before, revision-1, c.h.past)
	return len(result.events) > 0 && sameEvents(result.events, c.h.Events[revision])
}

// expiries are what is left of the ends of leases: the keys attached, all of them, in their order.
func (c *claims) expiries() {
	for _, revision := range sortedKeys(c.ended) {
		lease := c.ended[revision]
		if c.writer[revision] != nil {
			continue
		}
		if want := revoke(c.h.States[revision-1], lease, revision-1); !sameEvents(want, c.h.Events[revision]) {
			c.h.problem("revision %d ends lease %x: it is %v, and must be %v", revision, lease, c.h.Events[revision], want)
			continue
		}
		c.expired[revision] = lease
	}
}

func (c *claims) leftOver() {
	for revision := int64(2); revision <= c.h.last(); revision++ {
		if _, expired := c.expired[revision]; expired || c.writer[revision] != nil || len(c.h.Events[revision]) == 0 {
			continue
		}
		c.h.problem("nobody who may have written revision %d: %v", revision, c.h.Events[revision])
		for _, op := range c.record.Ops {
			if op.writes() && c.mentions(op, revision) {
				c.h.problem("    near it: %s", op)
			}
		}
	}
}

// mentions says whether one of the values of a revision is this operation's.
func (c *claims) mentions(op *Op, revision int64) bool {
	return slices.ContainsFunc(c.h.Events[revision], func(e Event) bool {
		return !e.Delete && slices.ContainsFunc(append(slices.Clone(op.Then), op.Else...), func(s Step) bool {
			return s.Kind == stepPut && s.Value == e.KV.Value
		})
	})
}
