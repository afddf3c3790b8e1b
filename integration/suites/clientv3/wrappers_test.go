package clientv3

import (
	"fmt"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/leasing"
	"go.etcd.io/etcd/client/v3/namespace"
	"go.etcd.io/etcd/client/v3/ordering"
)

func TestNamespaceHidesItsPrefix(t *testing.T) {
	client := newClient(t)
	kv := namespace.NewKV(client.KV, prefix(t))
	watch := namespace.NewWatcher(client.Watcher, prefix(t)).Watch(newContext(t), "", clientv3.WithPrefix(), clientv3.WithPrevKV())
	put(t, client, prefix(t)+"a", "outside")
	put(t, kv, "b", "inside")
	response, err := kv.Get(t.Context(), "", clientv3.WithFromKey())
	must(t, err)
	equal(t, "keys", fmt.Sprintf("%d %s %s", len(response.Kvs), response.Kvs[0].Key, response.Kvs[1].Key), "2 a b")
	txn, err := kv.Txn(t.Context()).If(clientv3.Compare(clientv3.Value("a"), "=", "outside")).
		Then(clientv3.OpDelete("a", clientv3.WithPrevKV()), clientv3.OpTxn(nil, []clientv3.Op{clientv3.OpGet("b")}, nil)).Commit()
	must(t, err)
	equal(t, "succeeded", txn.Succeeded, true)
	equal(t, "deleted", string(txn.Responses[0].GetResponseDeleteRange().PrevKvs[0].Key), "a")
	nested := txn.Responses[1].GetResponseTxn().Responses[0].GetResponseRange()
	equal(t, "nested", string(nested.Kvs[0].Key), "b")
	equal(t, "outside", value(t, client, prefix(t)+"b"), "inside")
	var seen []string
	for len(seen) < 3 {
		for _, event := range receive(t, "an event", watch).Events {
			seen = append(seen, event.Type.String()+" "+string(event.Kv.Key))
		}
	}
	equal(t, "events", fmt.Sprint(seen), "[PUT a PUT b DELETE a]")
}

func TestNamespacesLeases(t *testing.T) {
	client := newClient(t)
	lease := namespace.NewLease(client.Lease, prefix(t))
	granted, err := lease.Grant(t.Context(), 60)
	must(t, err)
	_, err = namespace.NewKV(client.KV, prefix(t)).Put(t.Context(), "key", "", clientv3.WithLease(granted.ID))
	must(t, err)
	left, err := lease.TimeToLive(t.Context(), granted.ID, clientv3.WithAttachedKeys())
	must(t, err)
	equal(t, "keys", fmt.Sprintf("%d %s", len(left.Keys), left.Keys[0]), "1 key")
	_, err = lease.Revoke(t.Context(), granted.ID)
	must(t, err)
	equal(t, "the key", value(t, client, prefix(t)+"key"), "")
}

func newLeasing(t *testing.T) clientv3.KV {
	t.Helper()
	kv, closeKV, err := leasing.NewKV(newClient(t), prefix(t)+"leases/")
	must(t, err)
	t.Cleanup(closeKV)
	return kv
}

// What one caches another can change: it takes the ownership of the key away first.
func TestLeasingGivesUpWhatOthersWrite(t *testing.T) {
	first, second := newLeasing(t), newLeasing(t)
	key := prefix(t) + "key"
	put(t, first, key, "1")
	for n := range 10 {
		equal(t, "before", value(t, first, key), fmt.Sprint(n+1))
		put(t, second, key, fmt.Sprint(n+2))
		equal(t, "after", value(t, first, key), fmt.Sprint(n+2))
		first, second = second, first
	}
	txn, err := first.Txn(t.Context()).If(clientv3.Compare(clientv3.Value(key), "=", "11")).
		Then(clientv3.OpPut(key, "12"), clientv3.OpGet(key)).Commit()
	must(t, err)
	equal(t, "succeeded", txn.Succeeded, true)
	equal(t, "in the other", value(t, second, key), "12")
}

func TestLeasingDeletesRanges(t *testing.T) {
	first, second := newLeasing(t), newLeasing(t)
	for n := range 5 {
		put(t, first, fmt.Sprint(prefix(t), "keys/", n), "x")
		equal(t, "cached", value(t, first, fmt.Sprint(prefix(t), "keys/", n)), "x")
	}
	deleted, err := second.Delete(newContext(t), prefix(t)+"keys/", clientv3.WithPrefix())
	must(t, err)
	equal(t, "deleted", deleted.Deleted, 5)
	for n := range 5 {
		equal(t, "left", value(t, first, fmt.Sprint(prefix(t), "keys/", n)), "")
	}
}

// Nothing is read that is older than what was read before.
func TestOrderingSeesNoViolation(t *testing.T) {
	client := newClient(t)
	kv := ordering.NewKV(client.KV, func(clientv3.Op, clientv3.OpResponse, int64) error {
		return fmt.Errorf("an older revision than before")
	})
	for n := range 50 {
		put(t, kv, prefix(t)+"key", fmt.Sprint(n))
		response, err := kv.Get(t.Context(), prefix(t)+"key", clientv3.WithSerializable())
		must(t, err)
		equal(t, "read", string(response.Kvs[0].Value), fmt.Sprint(n))
		_, err = kv.Txn(t.Context()).Then(clientv3.OpGet(prefix(t) + "key")).Commit()
		must(t, err)
	}
}
