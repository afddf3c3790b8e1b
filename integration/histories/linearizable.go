package main

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"
)

// place is where an operation stands in the order of revisions.
type place struct {
	op *Op
	// writes: it made this revision. Else it read the state of it.
	writes bool
}

func (c *claims) places() []place {
	var places []place
	for _, op := range c.record.Ops {
		linearizable := op.Way != waySerializable && op.Way != wayCompact
		writes := op.Revision > 0 && op.Revision <= c.h.last() && c.writer[op.Revision] == op
		if linearizable && (op.Outcome == outcomeOK || writes) {
			places = append(places, place{op, writes})
		}
	}
	for revision, lease := range c.expired {
		op := &Op{Client: 0, Way: wayRevoke, Lease: lease, Revision: revision, Outcome: outcomeUnknown, Succeeded: true}
		places = append(places, place{op, true})
	}
	return places
}

// returned is when an operation was over: never, where its outcome was not told.
func (p place) returned() time.Duration {
	if p.op.Outcome == outcomeOK {
		return p.op.Return
	}
	return math.MaxInt64
}

// etcdModel is etcd's KV: its state is a revision, and with it the keys at it.
func (h *History) etcdModel() porcupine.Model {
	return porcupine.Model{
		Init: func() any { return int64(1) },
		Step: func(state, input, _ any) (bool, any) {
			revision, p := state.(int64), input.(place)
			made := p.op.Revision
			if p.writes {
				made--
			}
			if revision != made {
				return false, nil
			}
			result := evaluate(p.op, h.States[revision], revision, h.past)
			right := p.op.Outcome != outcomeOK || answers(p.op, result)
			if !p.writes {
				return right && len(result.events) == 0, revision
			}
			return right && sameEvents(result.events, h.Events[revision+1]), revision + 1
		},
		DescribeOperation: func(input, _ any) string { return input.(place).op.String() },
		DescribeState: func(state any) string {
			revision := state.(int64)
			return fmt.Sprintf("%d: %v", revision, h.States[revision])
		},
	}
}

// checkLinearizable asks porcupine. On a failure it writes its picture to path, of the neighbourhood alone where all is too much.
func (c *claims) checkLinearizable(path string) {
	places := c.places()
	late := c.findLate(places)
	operations := make([]porcupine.Operation, 0, len(places))
	for _, p := range places {
		operations = append(operations, porcupine.Operation{
			ClientId: p.op.Client, Input: p, Call: int64(p.op.Call), Output: nil, Return: int64(p.returned()),
		})
	}
	model := c.h.etcdModel()
	result := porcupine.CheckOperationsTimeout(model, operations, 2*time.Minute)
	if result == porcupine.Ok {
		if late != nil {
			c.h.problem("the checks disagree: porcupine finds the history linearizable")
		}
		return
	}
	c.h.problem("porcupine: the history of %d operations is not linearizable (%s)", len(operations), result)
	if late != nil {
		operations = around(operations, late)
	}
	model.Init = func() any { return first(operations) }
	if _, info := porcupine.CheckOperationsVerbose(model, operations, 20*time.Second); true {
		if err := porcupine.VisualizePath(model, info, path); err != nil {
			c.h.problem("no picture: %v", err)
		}
	}
}

// first is the revision that a piece of a history begins at.
func first(operations []porcupine.Operation) int64 {
	lowest := int64(math.MaxInt64)
	for _, o := range operations {
		p := o.Input.(place)
		revision := p.op.Revision
		if p.writes {
			revision--
		}
		lowest = min(lowest, revision)
	}
	return lowest
}

// around leaves what is needed to see two operations in the wrong order.
func around(operations []porcupine.Operation, late []place) []porcupine.Operation {
	low, high := int64(math.MaxInt64), int64(0)
	for _, p := range late {
		low, high = min(low, p.op.Revision), max(high, p.op.Revision)
	}
	return slices.DeleteFunc(slices.Clone(operations), func(o porcupine.Operation) bool {
		revision := o.Input.(place).op.Revision
		return revision < low-20 || revision > high+20
	})
}

// findLate looks for operations that were over before others began, and yet stand after them. It finds what porcupine finds, and can
// say what it is.
func (c *claims) findLate(places []place) []place {
	byCall := slices.Clone(places)
	slices.SortFunc(byCall, func(a, b place) int { return cmp.Compare(a.op.Call, b.op.Call) })
	byReturn := slices.Clone(places)
	slices.SortFunc(byReturn, func(a, b place) int { return cmp.Compare(a.returned(), b.returned()) })
	var late []place
	var newest place
	for _, p := range byCall {
		for len(byReturn) > 0 && byReturn[0].returned() < p.op.Call {
			if newest.op == nil || byReturn[0].op.Revision > newest.op.Revision {
				newest = byReturn[0]
			}
			byReturn = byReturn[1:]
		}
		if newest.op == nil || p.op.Revision > newest.op.Revision || p.op.Revision == newest.op.Revision && !p.writes {
			continue
		}
		c.h.problem("stale: %s\n    though it began after the end of %s", p.op, newest.op)
		if late == nil {
			late = []place{p, newest}
		}
	}
	return late
}

// checkReadsOfThePast compares serializable reads with the state of their revision, and sees that history is refused where it is
// compacted, and nowhere else.
func (c *claims) checkReadsOfThePast() {
	for _, op := range c.record.Ops {
		if op.Way == waySerializable && op.Outcome == outcomeOK {
			s, _ := c.h.past(op.Revision)
			if result := evaluate(op, s, op.Revision, c.h.past); !answers(op, result) {
				c.h.problem("%s: the answer must be %v", op, result.answers)
			}
		}
		if op.Outcome != outcomeOK && strings.Contains(op.Error, "future revision") {
			c.h.problem("%s: it names a revision that was told before", op)
		}
		if op.Way == wayPast {
			c.checkCompacted(op)
		}
	}
}

func (c *claims) checkCompacted(op *Op) {
	refused := strings.Contains(op.Error, "has been compacted")
	may := false
	for _, compact := range c.record.Ops {
		if compact.Way != wayCompact || compact.Then[0].Revision <= op.Then[0].Revision {
			continue
		}
		may = may || compact.Call < op.Return && compact.Outcome != outcomeFailed
		if op.Outcome == outcomeOK && compact.Outcome == outcomeOK && compact.Return < op.Call {
			c.h.problem("%s: though it began after the end of %s", op, compact)
		}
	}
	if refused && !may {
		c.h.problem("%s: though nobody has compacted it", op)
	}
}
