package clientv3

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

func TestKeepAliveGoesOn(t *testing.T) {
	client := newClient(t)
	lease, err := client.Grant(t.Context(), 2)
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	alive, err := client.KeepAlive(ctx, lease.ID)
	must(t, err)
	// Five answers come at a third of the TTL each: longer than it lives by itself.
	for range 5 {
		equal(t, "the TTL", receive(t, "an answer", alive).TTL, 2)
	}
	_, err = client.Revoke(t.Context(), lease.ID)
	must(t, err)
	for range alive {
	}
	if _, err := client.KeepAliveOnce(t.Context(), lease.ID); !errors.Is(err, rpctypes.ErrLeaseNotFound) {
		t.Fatal("a lease that was revoked:", err)
	}
}

func TestLeasesAreListedUntilRevoked(t *testing.T) {
	client := newClient(t)
	mine := map[clientv3.LeaseID]bool{}
	for range 10 {
		lease, err := client.Grant(t.Context(), 60)
		must(t, err)
		mine[lease.ID] = true
	}
	equal(t, "listed", listed(t, client, mine), 10)
	for id := range mine {
		_, err := client.Revoke(t.Context(), id)
		must(t, err)
	}
	equal(t, "listed", listed(t, client, mine), 0)
}

func listed(t *testing.T, client *clientv3.Client, mine map[clientv3.LeaseID]bool) int {
	t.Helper()
	leases, err := client.Leases(t.Context())
	must(t, err)
	n := 0
	for _, lease := range leases.Leases {
		if mine[lease.ID] {
			n++
		}
	}
	return n
}

// Every watcher gets every revision once and in order, whenever it begins.
func TestWatchersOfOneStreamMissNothing(t *testing.T) {
	const writes = 200
	client, ctx := newClient(t), newContext(t)
	first := put(t, client, prefix(t)+"key", "start").Header.Revision
	var all sync.WaitGroup
	for n := range 10 {
		watch := client.Watch(ctx, prefix(t), clientv3.WithPrefix(), clientv3.WithRev(first+1+int64(n)))
		all.Go(func() {
			next := n
			for next < writes {
				select {
				case response := <-watch:
					if response.Err() != nil {
						t.Error(response.Err())
						return
					}
					for _, event := range response.Events {
						if got := string(event.Kv.Value); got != fmt.Sprint(next) {
							t.Errorf("watcher %d got %s instead of %d", n, got, next)
							return
						}
						next++
					}
				case <-ctx.Done():
					t.Errorf("watcher %d waits for %d", n, next)
					return
				}
			}
		})
	}
	for n := range writes {
		put(t, client, prefix(t)+"key", fmt.Sprint(n))
	}
	all.Wait()
}

func TestWatchOfWhatIsCompactedSaysSince(t *testing.T) {
	client, ctx := newClient(t), newContext(t)
	first := put(t, client, prefix(t)+"key", "1").Header.Revision
	last := put(t, client, prefix(t)+"key", "2").Header.Revision
	_, err := client.Compact(ctx, last, clientv3.WithCompactPhysical())
	must(t, err)
	watch := client.Watch(ctx, prefix(t)+"key", clientv3.WithRev(first))
	response := receive(t, "the refusal", watch)
	if !errors.Is(response.Err(), rpctypes.ErrCompacted) {
		t.Fatal(response.Err())
	}
	equal(t, "since", response.CompactRevision, last)
	// At just that revision there is the event, and no word of what was before.
	watch = client.Watch(ctx, prefix(t)+"key", clientv3.WithRev(last), clientv3.WithPrevKV())
	event := receive(t, "the event", watch).Events[0]
	equal(t, "the event", string(event.Kv.Value), "2")
	equal(t, "prev_kv", event.PrevKv, nil)
}

func TestProgressIsToldOnRequest(t *testing.T) {
	client := newClient(t)
	ctx := clientv3.WithRequireLeader(newContext(t))
	watch := client.Watch(ctx, prefix(t), clientv3.WithPrefix(), clientv3.WithCreatedNotify())
	equal(t, "created", receive(t, "the creation", watch).Created, true)
	revision := put(t, client, "elsewhere"+prefix(t), "").Header.Revision
	must(t, client.RequestProgress(ctx))
	response := receive(t, "the progress", watch)
	equal(t, "is progress", response.IsProgressNotify(), true)
	equal(t, "not behind", response.Header.Revision >= revision, true)
}

func TestFragmentsAreWhole(t *testing.T) {
	const keys, size = 20, 200_000 // 4 MB of events in one revision
	client, ctx := newClient(t), newContext(t)
	for n := range keys {
		put(t, client, fmt.Sprint(prefix(t), n), string(make([]byte, size)))
	}
	watch := client.Watch(ctx, prefix(t), clientv3.WithPrefix(), clientv3.WithFragment(), clientv3.WithPrevKV())
	must(t, client.RequestProgress(ctx))
	_ = receive(t, "the progress", watch)
	deleted, err := client.Delete(ctx, prefix(t), clientv3.WithPrefix())
	must(t, err)
	response := receive(t, "the deletion", watch)
	equal(t, "events", len(response.Events), keys)
	for _, event := range response.Events {
		equal(t, "revision", event.Kv.ModRevision, deleted.Header.Revision)
		equal(t, "size before", len(event.PrevKv.Value), size)
	}
}
