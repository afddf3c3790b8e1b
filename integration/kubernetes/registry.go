package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// etcdClient is a client of the datastore's own, past the API server.
func etcdClient(d Datastore) (*clientv3.Client, error) {
	return clientv3.New(clientv3.Config{Endpoints: []string{d.Endpoint()}, DialTimeout: 5 * time.Second, Logger: zap.NewNop()})
}

// nothingStoredOf expects no key that belongs to the namespace.
func nothingStoredOf(ctx context.Context, d Datastore, namespace string) error {
	client, err := etcdClient(d)
	if err != nil {
		return err
	}
	defer client.Close()
	all, err := client.Get(ctx, "/registry/", clientv3.WithPrefix(), clientv3.WithKeysOnly())
	if err != nil {
		return err
	}
	for _, kv := range all.Kvs {
		key := string(kv.Key)
		if strings.Contains(key, "/"+namespace+"/") || strings.HasSuffix(key, "/namespaces/"+namespace) {
			return fmt.Errorf("%s is still stored", key)
		}
	}
	return nil
}

// compacted expects the API server's compactor to have been at work, and the datastore to have
// done what it said: the first revision can't be read any more.
func compacted(ctx context.Context, d Datastore) error {
	client, err := etcdClient(d)
	if err != nil {
		return err
	}
	defer client.Close()
	key, err := client.Get(ctx, "compact_rev_key")
	if err != nil {
		return err
	}
	if len(key.Kvs) != 1 || key.Kvs[0].Version < 2 {
		return fmt.Errorf("compact_rev_key: %v", key.Kvs)
	}
	_, err = client.Get(ctx, "/registry/", clientv3.WithPrefix(), clientv3.WithLimit(1), clientv3.WithRev(2))
	if err == nil || !strings.Contains(err.Error(), "required revision has been compacted") {
		return fmt.Errorf("a read of revision 2 says %v", err)
	}
	return nil
}

// registryMatches counts what is stored, and compares with what the API server lists.
func (c *ControlPlane) registryMatches(d Datastore) error {
	client, err := etcdClient(d)
	if err != nil {
		return err
	}
	defer client.Close()
	ctx := c.run.ctx
	pods, err := c.kube.CoreV1().Pods("").List(ctx, meta.ListOptions{})
	if err != nil {
		return err
	}
	maps, err := c.kube.CoreV1().ConfigMaps("").List(ctx, meta.ListOptions{})
	if err != nil {
		return err
	}
	var bad error
	for prefix, listed := range map[string]int{"/registry/pods/": len(pods.Items), "/registry/configmaps/": len(maps.Items)} {
		stored, err := client.Get(ctx, prefix, clientv3.WithPrefix(), clientv3.WithCountOnly())
		if err != nil {
			return err
		}
		if stored.Count != int64(listed) {
			bad = errors.Join(bad, fmt.Errorf("%s: %d stored, %d listed", prefix, stored.Count, listed))
		}
	}
	return bad
}
