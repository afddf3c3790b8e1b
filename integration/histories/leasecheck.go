package main

import (
	"slices"
	"time"
)

// checkLeases holds what was told of leases against the times at which it was told. All times are of one monotonic clock, and what is
// heard is later than what happened: nothing is allowed for. Those that are kept alive at every jine until a time do not expire before.
func (c *claims) checkLeases(kept []int64, until time.Duration) {
	endings := map[int64]int64{}
	for revision, lease := range c.ended {
		endings[lease] = revision
	}
	renewals := map[int64][]*LeaseOp{}
	for _, op := range c.record.Leases {
		if op.Outcome == outcomeOK && !op.Gone {
			renewals[op.Lease] = append(renewals[op.Lease], op)
		}
	}
	for _, op := range c.record.Leases {
		if op.Outcome == outcomeOK && op.Gone {
			c.notBefore(op.Lease, renewals[op.Lease], op.Return, "a keepalive was told that it is gone")
		}
	}
	for _, op := range c.record.Ops {
		if lease := leaseOf(op); lease != 0 && op.Error == leaseNotFound {
			c.notBefore(lease, renewals[lease], op.Return, "a request was told that it is gone")
		}
	}
	for revision, lease := range c.expired {
		c.notBefore(lease, renewals[lease], c.h.Earliest[revision], "it expired")
	}
	for lease, revision := range endings {
		c.afterEnd(lease, revision, renewals[lease])
	}
	for revision, lease := range c.expired {
		if slices.Contains(kept, lease) && c.h.Earliest[revision] < until {
			c.h.problem("lease %x ended with revision %d, seen at %s, though keepalives for it were waiting at every jine", lease, revision, seconds(c.h.Earliest[revision]))
		}
	}
}

// leaseOf is a lease that the operation must find.
func leaseOf(op *Op) int64 {
	if op.Lease != 0 {
		return op.Lease
	}
	var found int64
	for _, step := range op.Then {
		if step.Lease != 0 {
			if found != 0 && found != step.Lease {
				return 0
			}
			found = step.Lease
		}
	}
	return found
}

// notBefore: a lease was seen to be gone, and nobody has revoked it. Then no renewal that was acknowledged may have begun less than
// its TTL before.
func (c *claims) notBefore(lease int64, renewals []*LeaseOp, seen time.Duration, how string) {
	if c.mayBeRevoked(lease, seen) {
		return
	}
	for _, renewal := range renewals {
		if renewal.Call+renewal.TTL > seen {
			c.h.problem("lease %x: %s at %s, though it was renewed for %s by a request on %s from %s to %s", lease, how,
				seconds(seen), renewal.TTL, renewal.Endpoint, seconds(renewal.Call), seconds(renewal.Return))
		}
	}
}

func (c *claims) mayBeRevoked(lease int64, seen time.Duration) bool {
	for _, op := range c.record.Ops {
		if op.Way == wayRevoke && op.Lease == lease && op.Call < seen && op.Outcome != outcomeFailed {
			return true
		}
	}
	return false
}

// afterEnd: nothing acknowledges a lease that was seen to have ended before.
func (c *claims) afterEnd(lease, revision int64, renewals []*LeaseOp) {
	for _, renewal := range renewals {
		if renewal.Call > c.h.Earliest[revision] {
			c.h.problem("lease %x ended with revision %d, seen at %s, and yet a request on %s from %s to %s found it", lease, revision,
				seconds(c.h.Earliest[revision]), renewal.Endpoint, seconds(renewal.Call), seconds(renewal.Return))
		}
	}
	for later := revision + 1; later <= c.h.last(); later++ {
		for _, e := range c.h.Events[later] {
			if e.KV.Lease == lease {
				c.h.problem("lease %x ended with revision %d, and yet %s was attached to it with revision %d", lease, revision, e, later)
			}
		}
	}
}
