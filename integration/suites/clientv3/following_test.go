package clientv3

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/kubernetes"
	"go.etcd.io/etcd/client/v3/mirror"
	"go.etcd.io/etcd/client/v3/naming/endpoints"
)

// The base in pages, then what changed meanwhile: together the whole.
func TestMirror(t *testing.T) {
	const keys = 2500 // more than two of the syncer's pages
	client, ctx := newClient(t), newContext(t)
	fill(t, client, prefix(t), keys)
	syncer := mirror.NewSyncer(client, prefix(t), 0)
	copied := map[string]string{}
	pages, failed := syncer.SyncBase(ctx)
	for page := range pages {
		for _, kv := range page.Kvs {
			copied[string(kv.Key)] = string(kv.Value)
		}
	}
	must(t, <-failed)
	equal(t, "keys of the base", len(copied), keys)
	_, err := client.Delete(ctx, prefix(t)+"1", clientv3.WithPrefix())
	must(t, err)
	last := put(t, client, prefix(t)+"0000", "changed").Header.Revision
	updates := syncer.SyncUpdates(ctx)
	for seen := int64(0); seen < last; {
		response := receive(t, "an update", updates)
		must(t, response.Err())
		for _, event := range response.Events {
			seen = event.Kv.ModRevision
			if event.Type == clientv3.EventTypeDelete {
				delete(copied, string(event.Kv.Key))
			} else {
				copied[string(event.Kv.Key)] = string(event.Kv.Value)
			}
		}
	}
	there, err := client.Get(ctx, prefix(t), clientv3.WithPrefix())
	must(t, err)
	equal(t, "keys", len(copied), len(there.Kvs))
	for _, kv := range there.Kvs {
		equal(t, string(kv.Key), copied[string(kv.Key)], string(kv.Value))
	}
}

func fill(t *testing.T, client *clientv3.Client, prefix string, keys int) {
	t.Helper()
	names := make([]clientv3.Op, keys)
	for n := range names {
		names[n] = clientv3.OpPut(fmt.Sprintf("%s%04d", prefix, n), fmt.Sprint(n))
	}
	for puts := range slices.Chunk(names, 100) {
		_, err := client.Txn(t.Context()).Then(puts...).Commit()
		must(t, err)
	}
}

func TestNaming(t *testing.T) {
	client, ctx := newClient(t), newContext(t)
	service := "services" + prefix(t)
	manager, err := endpoints.NewManager(client, service[:len(service)-1])
	must(t, err)
	add := func(name string) *endpoints.UpdateWithOpts {
		return endpoints.NewAddUpdateOpts(service+name, endpoints.Endpoint{Addr: name + ":1", Metadata: name})
	}
	must(t, manager.Update(ctx, []*endpoints.UpdateWithOpts{add("a"), add("b")}))
	updates, err := manager.NewWatchChannel(ctx)
	must(t, err)
	equal(t, "first", len(receive(t, "what is there", updates)), 2)
	must(t, manager.AddEndpoint(ctx, service+"c", endpoints.Endpoint{Addr: "c:1"}))
	added := receive(t, "an addition", updates)[0]
	equal(t, "added", fmt.Sprint(added.Op, added.Endpoint.Addr), fmt.Sprint(endpoints.Add, "c:1"))
	must(t, manager.DeleteEndpoint(ctx, service+"a"))
	deleted := receive(t, "a deletion", updates)[0]
	equal(t, "deleted", fmt.Sprint(deleted.Op, deleted.Key), fmt.Sprint(endpoints.Delete, service+"a"))
	listed, err := manager.List(ctx)
	must(t, err)
	equal(t, "listed", fmt.Sprint(slices.Sorted(maps.Keys(listed))), fmt.Sprintf("[%sb %sc]", service, service))
}

// The client that kube-apiserver uses.
func TestKubernetesClient(t *testing.T) {
	ctx := newContext(t)
	client := kubernetes.Client{Client: newClient(t)}
	client.Kubernetes = client
	key := prefix(t) + "key"
	created, err := client.OptimisticPut(ctx, key, []byte("1"), 0, kubernetes.PutOptions{})
	must(t, err)
	equal(t, "created", created.Succeeded, true)
	again, err := client.OptimisticPut(ctx, key, []byte("2"), 0, kubernetes.PutOptions{GetOnFailure: true})
	must(t, err)
	equal(t, "created again", again.Succeeded, false)
	equal(t, "what is there", string(again.KV.Value), "1")
	updated, err := client.OptimisticPut(ctx, key, []byte("2"), created.Revision, kubernetes.PutOptions{})
	must(t, err)
	got, err := client.Kubernetes.Get(ctx, key, kubernetes.GetOptions{})
	must(t, err)
	equal(t, "modified", got.KV.ModRevision, updated.Revision)
	for n := range 5 {
		put(t, client.KV, fmt.Sprint(prefix(t), "other/", n), "x")
	}
	counted, err := client.Count(ctx, prefix(t), kubernetes.CountOptions{})
	must(t, err)
	equal(t, "counted", counted, 6)
	page, err := client.List(ctx, prefix(t), kubernetes.ListOptions{Limit: 4})
	must(t, err)
	equal(t, "listed", fmt.Sprint(len(page.Kvs), page.Count), "4 6")
	rest, err := client.List(ctx, prefix(t), kubernetes.ListOptions{
		Revision: page.Revision, Continue: string(page.Kvs[3].Key) + "\x00",
	})
	must(t, err)
	equal(t, "the rest", len(rest.Kvs), 2)
	deleted, err := client.OptimisticDelete(ctx, key, created.Revision, kubernetes.DeleteOptions{GetOnFailure: true})
	must(t, err)
	equal(t, "deleted by an old revision", deleted.Succeeded, false)
	equal(t, "what is there", deleted.KV.ModRevision, updated.Revision)
	deleted, err = client.OptimisticDelete(ctx, key, updated.Revision, kubernetes.DeleteOptions{})
	must(t, err)
	equal(t, "deleted", deleted.Succeeded, true)
}
