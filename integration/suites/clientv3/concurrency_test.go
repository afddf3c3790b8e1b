package clientv3

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
)

func newSession(t *testing.T, client *clientv3.Client, options ...concurrency.SessionOption) *concurrency.Session {
	t.Helper()
	session, err := concurrency.NewSession(client, options...)
	must(t, err)
	t.Cleanup(func() { session.Close() })
	return session
}

func TestSessionEndsWithItsLease(t *testing.T) {
	client := newClient(t)
	session := newSession(t, client, concurrency.WithTTL(5))
	key := prefix(t) + "key"
	_, err := client.Put(t.Context(), key, "mine", clientv3.WithLease(session.Lease()))
	must(t, err)
	_, err = client.Revoke(t.Context(), session.Lease())
	must(t, err)
	select {
	case <-session.Done():
	case <-newContext(t).Done():
		t.Fatal("the session goes on without its lease")
	}
	equal(t, "the key", value(t, client, key), "")
}

func TestSessionThatIsClosedTakesItsKeys(t *testing.T) {
	client := newClient(t)
	session := newSession(t, client)
	key := prefix(t) + "key"
	_, err := client.Put(t.Context(), key, "mine", clientv3.WithLease(session.Lease()))
	must(t, err)
	must(t, session.Close())
	equal(t, "the key", value(t, client, key), "")
	left, err := client.TimeToLive(t.Context(), session.Lease())
	must(t, err)
	equal(t, "the TTL", left.TTL, -1)
}

// An orphaned session is not kept alive: its keys go when the lease expires.
func TestOrphanExpires(t *testing.T) {
	client := newClient(t)
	session := newSession(t, client, concurrency.WithTTL(1))
	key := prefix(t) + "key"
	response, err := client.Put(t.Context(), key, "mine", clientv3.WithLease(session.Lease()))
	must(t, err)
	watch := client.Watch(newContext(t), key, clientv3.WithRev(response.Header.Revision+1))
	session.Orphan()
	event := receive(t, "the end of the key", watch).Events[0]
	equal(t, "the event", event.Type, clientv3.EventTypeDelete)
}

func TestMutexExcludes(t *testing.T) {
	client := newClient(t)
	key, inside := prefix(t)+"counter", 0
	var all sync.WaitGroup
	for range 8 {
		session := newSession(t, newClient(t))
		all.Go(func() {
			mutex := concurrency.NewMutex(session, prefix(t)+"lock")
			for range 5 {
				if err := mutex.Lock(newContext(t)); err != nil {
					t.Error(err)
					return
				}
				// Neither the variable nor the key has another protection.
				inside++
				n, _ := strconv.Atoi(value(t, client, key))
				put(t, client, key, strconv.Itoa(n+1))
				if err := mutex.Unlock(newContext(t)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	equal(t, "the variable", inside, 40)
	equal(t, "the key", value(t, client, key), "40")
}

func TestTryLock(t *testing.T) {
	client := newClient(t)
	first := concurrency.NewMutex(newSession(t, client), prefix(t))
	second := concurrency.NewMutex(newSession(t, client), prefix(t))
	must(t, first.TryLock(newContext(t)))
	if err := second.TryLock(newContext(t)); !errors.Is(err, concurrency.ErrLocked) {
		t.Fatal("a second lock:", err)
	}
	response, err := client.Txn(t.Context()).If(first.IsOwner()).Commit()
	must(t, err)
	equal(t, "the first is the owner", response.Succeeded, true)
	must(t, first.Unlock(newContext(t)))
	must(t, second.TryLock(newContext(t)))
}

func TestLockGoesOnWhenItsHolderDies(t *testing.T) {
	client := newClient(t)
	holder, other := newSession(t, client), newSession(t, client)
	must(t, concurrency.NewMutex(holder, prefix(t)).Lock(newContext(t)))
	locked := make(chan error, 1)
	go func() { locked <- concurrency.NewMutex(other, prefix(t)).Lock(newContext(t)) }()
	_, err := client.Revoke(t.Context(), holder.Lease())
	must(t, err)
	must(t, receive(t, "the lock", locked))
}

func TestWaitingForALockCanBeGivenUp(t *testing.T) {
	client := newClient(t)
	first := concurrency.NewMutex(newSession(t, client), prefix(t))
	must(t, first.Lock(newContext(t)))
	ctx, cancel := context.WithCancel(t.Context())
	waiting := make(chan error, 1)
	second := concurrency.NewMutex(newSession(t, client), prefix(t))
	go func() { waiting <- second.Lock(ctx) }()
	cancel()
	if err := receive(t, "the end of waiting", waiting); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	must(t, first.Unlock(newContext(t)))
	// Nothing of the one that gave up is in the way.
	must(t, concurrency.NewMutex(newSession(t, client), prefix(t)).TryLock(newContext(t)))
}

func TestElection(t *testing.T) {
	client := newClient(t)
	first := concurrency.NewElection(newSession(t, client), prefix(t))
	second := concurrency.NewElection(newSession(t, client), prefix(t))
	if _, err := first.Leader(t.Context()); !errors.Is(err, concurrency.ErrElectionNoLeader) {
		t.Fatal("a leader before the election:", err)
	}
	observed := first.Observe(newContext(t))
	must(t, first.Campaign(newContext(t), "first"))
	equal(t, "observed", string(receive(t, "a leader", observed).Kvs[0].Value), "first")
	elected := make(chan error, 1)
	go func() { elected <- second.Campaign(newContext(t), "second") }()
	must(t, first.Proclaim(newContext(t), "first, again"))
	equal(t, "observed", string(receive(t, "a proclamation", observed).Kvs[0].Value), "first, again")
	must(t, first.Resign(newContext(t)))
	must(t, receive(t, "the second's election", elected))
	equal(t, "observed", string(receive(t, "the next leader", observed).Kvs[0].Value), "second")
	leader, err := first.Leader(t.Context())
	must(t, err)
	equal(t, "the leader", string(leader.Kvs[0].Key), second.Key())
	if err := first.Proclaim(newContext(t), "still me"); !errors.Is(err, concurrency.ErrElectionNotLeader) {
		t.Fatal("a proclamation of who is no leader:", err)
	}
}

func TestElectionIsResumed(t *testing.T) {
	client := newClient(t)
	session := newSession(t, client)
	election := concurrency.NewElection(session, prefix(t))
	must(t, election.Campaign(newContext(t), "first"))
	resumed := concurrency.ResumeElection(session, prefix(t), election.Key(), election.Rev())
	must(t, resumed.Proclaim(newContext(t), "resumed"))
	leader, err := election.Leader(t.Context())
	must(t, err)
	equal(t, "the leader's value", string(leader.Kvs[0].Value), "resumed")
	must(t, resumed.Resign(newContext(t)))
}
