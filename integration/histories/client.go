package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"time"
)

// keys is how many keys all clients share: few, so that they collide.
const keys = 5

func key(i int) string { return fmt.Sprintf("k/%d", i) }

const (
	firstKey = "k/"
	afterKey = "k0"
)

// Client makes one request after the other, each to one of the endpoints.
type Client struct {
	id          int
	record      *Record
	connections []*connection
	random      *rand.Rand
	inFlight    *atomic.Int64
	// seen is the newest that this client knows of each key, for compares that may hold.
	seen map[string]KV
	// newest is the highest revision it was told.
	newest int64
	values int
	leases *leases
	pause  time.Duration
}

func (c *Client) run(ctx context.Context) {
	refused := 0
	for ctx.Err() == nil {
		op := c.choose()
		c.execute(op)
		wait := time.Duration(c.random.Int64N(int64(2 * c.pause)))
		if op.Outcome == outcomeOK {
			refused = 0
		} else {
			wait += 400 * time.Millisecond << min(refused, 2)
			refused++
		}
		sleep(ctx, wait)
	}
}

// execute lets an operation finish even if the run ends meanwhile, so that few outcomes are unknown for that.
func (c *Client) execute(op *Op) {
	op.Client = c.id
	c.inFlight.Add(1)
	c.connection().run(context.Background(), c.record, op)
	c.inFlight.Add(-1)
	if op.Outcome == outcomeOK {
		c.learn(op)
	}
}

func (c *Client) connection() *connection {
	home := c.id % len(c.connections)
	if c.random.IntN(3) == 0 {
		home = c.random.IntN(len(c.connections))
	}
	return c.connections[home]
}

func (c *Client) learn(op *Op) {
	if op.Revision > c.newest {
		c.newest = op.Revision
	}
	steps := op.Then
	if !op.Succeeded {
		steps = op.Else
	}
	for i, step := range steps {
		if i >= len(op.Answers) {
			continue
		}
		switch {
		case step.Kind == stepRange && step.Revision == 0 && op.Way != waySerializable:
			for k := range keys {
				if contains(step.Key, step.End, key(k)) {
					c.seen[key(k)] = State(op.Answers[i].KVs).get(key(k))
				}
			}
		case step.Kind == stepPut:
			c.seen[step.Key] = KV{Key: step.Key, Value: step.Value, Mod: op.Revision}
		}
	}
}

func (c *Client) value() string {
	c.values++
	value := fmt.Sprintf("%d-%d", c.id, c.values)
	if c.random.IntN(25) == 0 {
		// Too large for one message of the servers that are set up here.
		value += " " + strings.Repeat("x", maxPayload/2+c.random.IntN(maxPayload/4))
	}
	return value
}

func (c *Client) key() string { return key(c.random.IntN(keys)) }

// lease is now and then one that is alive.
func (c *Client) lease() int64 {
	if c.random.IntN(6) != 0 {
		return 0
	}
	return c.leases.any(c.random)
}

func (c *Client) put(k string) Step {
	return Step{Kind: stepPut, Key: k, Value: c.value(), Lease: c.lease()}
}

func (c *Client) choose() *Op {
	k := c.key()
	switch n := c.random.IntN(100); {
	case n < 20:
		return &Op{Way: wayGet, Then: []Step{{Key: k}}}
	case n < 32:
		return &Op{Way: wayRange, Then: []Step{{Key: firstKey, End: afterKey}}}
	case n < 36:
		return &Op{Way: waySerializable, Then: []Step{{Key: firstKey, End: afterKey}}}
	case n < 40:
		past := max(c.newest-int64(c.random.IntN(50)), 1)
		return &Op{Way: wayPast, Then: []Step{{Key: firstKey, End: afterKey, Revision: past}}}
	case n < 52:
		return &Op{Way: wayPut, Then: []Step{c.put(k)}}
	case n < 58:
		return &Op{Way: wayDelete, Then: []Step{{Kind: stepDelete, Key: k}}}
	case n < 60:
		return &Op{Way: wayDelete, Then: []Step{{Kind: stepDelete, Key: key(0), End: key(1 + c.random.IntN(keys-1))}}}
	case n < 82:
		return c.compareAndSwap(k)
	default:
		return c.several()
	}
}

func (c *Client) compareAndSwap(k string) *Op {
	seen := c.seen[k]
	compare := Compare{Key: k, Target: targetMod, Number: seen.Mod}
	if seen.Mod != 0 && c.random.IntN(4) == 0 {
		compare = Compare{Key: k, Target: targetValue, Text: seen.Value}
	}
	then := []Step{c.put(k)}
	if c.random.IntN(5) == 0 {
		then = []Step{{Kind: stepDelete, Key: k}}
	}
	return &Op{Way: wayTxn, Compares: []Compare{compare}, Then: then, Else: []Step{{Key: k}}}
}

// several writes two keys, reads or deletes a third.
func (c *Client) several() *Op {
	order := c.random.Perm(keys)
	a, b, third := key(order[0]), key(order[1]), key(order[2])
	var compares []Compare
	if c.random.IntN(2) == 0 {
		compares = append(compares, Compare{Key: third, Target: targetMod, Number: c.seen[third].Mod})
	}
	then := []Step{c.put(a), c.put(b), {Key: firstKey, End: afterKey}}
	if c.random.IntN(3) == 0 {
		then[2] = Step{Kind: stepDelete, Key: third}
	}
	return &Op{Way: wayTxn, Compares: compares, Then: then, Else: []Step{{Key: a}, {Key: third}}}
}

// compactor removes history.
type compactor struct {
	Client
	// limit is the highest revision that may be compacted.
	limit func() int64
}

func (c *compactor) compactNowAndThen(ctx context.Context) {
	for ctx.Err() == nil {
		sleep(ctx, time.Second+time.Duration(c.random.Int64N(int64(5*time.Second))))
		if revision := c.limit() - c.random.Int64N(60); revision > 1 {
			c.execute(&Op{Way: wayCompact, Then: []Step{{Revision: revision}}})
		}
	}
}

// sleep waits, or until the run ends.
func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
