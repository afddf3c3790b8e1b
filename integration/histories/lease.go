package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
)

// leases are those that clients may attach keys to.
type leases struct {
	mu    sync.Mutex
	alive []int64
}

func (l *leases) add(id int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.alive = append(l.alive, id)
}

func (l *leases) remove(id int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.alive = slices.DeleteFunc(l.alive, func(other int64) bool { return other == id })
}

func (l *leases) any(random *rand.Rand) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.alive) == 0 {
		return 0
	}
	return l.alive[random.IntN(len(l.alive))]
}

// anchor is the key by which the end of a lease is seen: nobody deletes it, nor attaches it to another.
func anchor(lease int64) string { return fmt.Sprintf("l/%016x", uint64(lease)) }

// keeper grants leases, keeps them alive for a while, and revokes or forgets them.
type keeper struct {
	Client
}

func (k *keeper) run(ctx context.Context) {
	for ctx.Err() == nil {
		k.life(ctx)
		sleep(ctx, k.pause)
	}
}

// life is that of one lease.
func (k *keeper) life(ctx context.Context) {
	ttl := int64(2 + k.random.IntN(4))
	id, ok := k.grant(ttl)
	if !ok {
		sleep(ctx, time.Second)
		return
	}
	put := &Op{Way: wayPut, Then: []Step{{Kind: stepPut, Key: anchor(id), Value: k.value(), Lease: id}}}
	k.execute(put)
	if put.Outcome != outcomeOK {
		return
	}
	k.leases.add(id)
	defer k.leases.remove(id)
	until := time.Now().Add(time.Duration(1+k.random.IntN(12)) * time.Second)
	for time.Now().Before(until) && ctx.Err() == nil {
		sleep(ctx, time.Duration(ttl)*time.Second/time.Duration(3+k.random.IntN(3)))
		if k.keepAlive(id, ttl) {
			return
		}
	}
	if k.random.IntN(2) == 0 {
		k.execute(&Op{Way: wayRevoke, Lease: id})
	}
}

func (k *keeper) grant(ttl int64) (int64, bool) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	to := k.connection()
	// Chosen here, so that a grant of unknown outcome has a name.
	id := k.random.Int64()>>1 | 1
	op := &LeaseOp{Lease: id, TTL: time.Duration(ttl) * time.Second, Endpoint: to.endpoint, Call: k.record.now()}
	k.inFlight.Add(1)
	defer k.inFlight.Add(-1)
	client := etcdserverpb.NewLeaseClient(to.client.ActiveConnection())
	response, err := client.LeaseGrant(ctx, &etcdserverpb.LeaseGrantRequest{TTL: ttl, ID: id})
	op.Return, op.Outcome = k.record.now(), outcomeOf(err)
	if err != nil {
		op.Error = err.Error()
	} else {
		op.TTL = time.Duration(response.TTL) * time.Second
	}
	k.record.addLease(op)
	return id, err == nil
}

// keepAlive asks once, on a stream of its own, and says whether the lease is gone.
func (k *keeper) keepAlive(id, ttl int64) bool {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	to := k.connection()
	op := &LeaseOp{Keepalive: true, Lease: id, TTL: time.Duration(ttl) * time.Second, Endpoint: to.endpoint, Call: k.record.now()}
	k.inFlight.Add(1)
	defer k.inFlight.Add(-1)
	response, err := keepAliveOnce(ctx, to, id)
	op.Return, op.Outcome = k.record.now(), outcomeOf(err)
	switch {
	case err != nil:
		op.Error = err.Error()
	case response.TTL <= 0:
		op.Gone = true
	default:
		op.TTL = time.Duration(response.TTL) * time.Second
	}
	k.record.addLease(op)
	return op.Gone
}

func keepAliveOnce(ctx context.Context, to *connection, id int64) (*etcdserverpb.LeaseKeepAliveResponse, error) {
	stream, err := etcdserverpb.NewLeaseClient(to.client.ActiveConnection()).LeaseKeepAlive(ctx)
	if err != nil {
		return nil, err
	}
	if err := stream.Send(&etcdserverpb.LeaseKeepAliveRequest{ID: id}); err != nil {
		return nil, err
	}
	response, err := stream.Recv()
	_ = stream.CloseSend()
	return response, err
}

var leaseNotFound = rpctypes.ErrLeaseNotFound.Error()
