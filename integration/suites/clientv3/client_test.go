// Package clientv3 uses what etcd's own Go client builds upon the API (locks, elections,
// software transactions, leasing, mirroring, naming) as its users do. Every test runs on a real
// etcd as well, with the same assertions. The server is the one at ETCD_ENDPOINT.
package clientv3

import (
	"context"
	"os"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

// How long a test waits for what must come: long enough for a loaded machine.
const patience = 30 * time.Second

func newClient(t *testing.T) *clientv3.Client {
	t.Helper()
	endpoint := os.Getenv("ETCD_ENDPOINT")
	if endpoint == "" {
		t.Skip("ETCD_ENDPOINT names no server")
	}
	client, err := clientv3.New(clientv3.Config{
		Endpoints: []string{endpoint}, DialTimeout: patience, Logger: zap.NewNop(),
	})
	must(t, err)
	t.Cleanup(func() { client.Close() })
	return client
}

// newContext ends when patience does.
func newContext(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// prefix is the test's own: the tests share one server.
func prefix(t *testing.T) string { return "/" + t.Name() + "/" }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func equal[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Fatalf("%s: %v, not %v", what, got, want)
	}
}

// receive takes one value, or fails when patience ends.
func receive[T any](t *testing.T, what string, from <-chan T) T {
	t.Helper()
	select {
	case value, open := <-from:
		if !open {
			t.Fatalf("%s: the channel was closed", what)
		}
		return value
	case <-time.After(patience):
		t.Fatalf("%s: nothing came", what)
	}
	panic("unreachable")
}

// value is that of the key, and "" if there is none.
func value(t *testing.T, kv clientv3.KV, key string) string {
	t.Helper()
	response, err := kv.Get(t.Context(), key)
	must(t, err)
	if len(response.Kvs) == 0 {
		return ""
	}
	return string(response.Kvs[0].Value)
}

func put(t *testing.T, kv clientv3.KV, key, value string) *clientv3.PutResponse {
	t.Helper()
	response, err := kv.Put(t.Context(), key, value)
	must(t, err)
	return response
}
