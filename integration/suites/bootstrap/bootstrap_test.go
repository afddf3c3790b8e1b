// Package bootstrap keeps K3s' bootstrap data as K3s does: encrypted under a key that is derived
// from the token, through the client that it takes from kine. The server is the one at
// ETCD_ENDPOINT.
package bootstrap

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/k3s-io/kine/pkg/client"
	"github.com/k3s-io/kine/pkg/endpoint"
)

// The certificates, keys and passwords of a cluster come to about that many bytes.
const bundle = 60_000

func newClient(t *testing.T) client.Client {
	t.Helper()
	at := os.Getenv("ETCD_ENDPOINT")
	if at == "" {
		t.Skip("ETCD_ENDPOINT names no server")
	}
	c, err := client.New(endpoint.ETCDConfig{Endpoints: []string{at}})
	must(t, err)
	t.Cleanup(func() { c.Close() })
	return c
}

// newCluster begins without bootstrap data: the tests share one server.
func newCluster(t *testing.T) (client.Client, context.Context) {
	t.Helper()
	c := newClient(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	for _, value := range list(t, ctx, c) {
		must(t, c.Delete(ctx, string(value.Key), value.Modified))
	}
	return c, ctx
}

func storageKey(token string) string {
	sum := sha256.Sum256([]byte(token))
	return "/bootstrap/" + hex.EncodeToString(sum[:])[:12]
}

func list(t *testing.T, ctx context.Context, c client.Client) []client.Value {
	t.Helper()
	values, err := c.List(ctx, "/bootstrap", 0)
	must(t, err)
	return values
}

func data() []byte {
	text := make([]byte, bundle)
	_, _ = rand.Read(text)
	return text
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func fails(t *testing.T, err error, text string) {
	t.Helper()
	if err == nil || err.Error() != text {
		t.Fatalf("the error is %v, not %q", err, text)
	}
}

func TestFirstServerCreatesAndOthersRead(t *testing.T) {
	c, ctx := newCluster(t)
	key, first := storageKey("token"), data()
	_, err := c.Get(ctx, key)
	fails(t, err, client.ErrNotFound.Error())
	must(t, c.Create(ctx, key, first))
	fails(t, c.Create(ctx, key, data()), "key exists")
	values := list(t, ctx, newClient(t))
	if len(values) != 1 || string(values[0].Key) != key || !bytes.Equal(values[0].Data, first) {
		t.Fatalf("%d keys, of which the first is %s", len(values), values[0].Key)
	}
	if values[0].Modified == 0 {
		t.Fatal("no revision")
	}
}

// An empty value is the lock of the server that is going to write the data.
func TestEmptyValueIsALock(t *testing.T) {
	c, ctx := newCluster(t)
	key := storageKey("token")
	won := make(chan client.Client, 8)
	var all sync.WaitGroup
	for range cap(won) {
		server := newClient(t)
		all.Go(func() {
			if err := server.Create(ctx, key, []byte{}); err == nil {
				won <- server
			} else if err.Error() != "key exists" {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if len(won) != 1 {
		t.Fatal(len(won), "servers have the lock")
	}
	lock, err := c.Get(ctx, key)
	must(t, err)
	if len(lock.Data) != 0 {
		t.Fatal("the lock holds something")
	}
	written := data()
	must(t, (<-won).Update(ctx, key, lock.Modified, written))
	got, err := c.Get(ctx, key)
	must(t, err)
	if !bytes.Equal(got.Data, written) || got.Modified <= lock.Modified {
		t.Fatal("the data is not what was written")
	}
}

func TestUpdateOfAnOldRevisionIsRefused(t *testing.T) {
	c, ctx := newCluster(t)
	key := storageKey("token")
	must(t, c.Create(ctx, key, data()))
	old, err := c.Get(ctx, key)
	must(t, err)
	must(t, c.Put(ctx, key, []byte("renewed")))
	if err := c.Update(ctx, key, old.Modified, data()); err == nil {
		t.Fatal("an update of an old revision succeeds")
	}
	if err := c.Delete(ctx, key, old.Modified); err == nil {
		t.Fatal("a deletion of an old revision succeeds")
	}
	got, err := c.Get(ctx, key)
	must(t, err)
	if string(got.Data) != "renewed" {
		t.Fatal("the renewed data is gone")
	}
	past, err := c.List(ctx, "/bootstrap", int(old.Modified))
	must(t, err)
	if len(past) != 1 || len(past[0].Data) != bundle {
		t.Fatal("the old revision can't be read")
	}
}

// k3s token rotate writes the data under the key of the new token and removes the old one.
func TestTokenIsRotated(t *testing.T) {
	c, ctx := newCluster(t)
	kept := data()
	must(t, c.Create(ctx, storageKey("old"), kept))
	old, err := c.Get(ctx, storageKey("old"))
	must(t, err)
	must(t, c.Create(ctx, storageKey("new"), old.Data))
	must(t, c.Delete(ctx, storageKey("old"), old.Modified))
	values := list(t, ctx, newClient(t))
	if len(values) != 1 || string(values[0].Key) != storageKey("new") || !bytes.Equal(values[0].Data, kept) {
		t.Fatal("not just the new key is there")
	}
	if _, err := c.Get(ctx, storageKey("old")); !errors.Is(err, client.ErrNotFound) {
		t.Fatal("the old key is there:", err)
	}
}

func TestPutNeedsAKeyThatExists(t *testing.T) {
	c, ctx := newCluster(t)
	if err := c.Put(ctx, storageKey("nobody"), data()); !errors.Is(err, client.ErrNotFound) {
		t.Fatal(err)
	}
}

// Whoever has written is read from by all: a server that joins must not see older data.
func TestEveryServerReadsTheLatest(t *testing.T) {
	c, ctx := newCluster(t)
	key, other := storageKey("token"), newClient(t)
	must(t, c.Create(ctx, key, []byte{0}))
	for n := byte(1); n < 50; n++ {
		before, err := other.Get(ctx, key)
		must(t, err)
		must(t, c.Update(ctx, key, before.Modified, []byte{n}))
		values := list(t, ctx, other)
		if len(values) != 1 || values[0].Data[0] != n {
			t.Fatalf("%v after writing %d", values, n)
		}
	}
}

func TestCompactLeavesTheData(t *testing.T) {
	c, ctx := newCluster(t)
	key, kept := storageKey("token"), data()
	must(t, c.Create(ctx, key, data()))
	must(t, c.Put(ctx, key, kept))
	value, err := c.Get(ctx, key)
	must(t, err)
	_, err = c.Compact(ctx, value.Modified)
	must(t, err)
	if _, err := c.List(ctx, "/bootstrap", int(value.Modified-1)); err == nil {
		t.Fatal("a compacted revision can be read")
	}
	if values := list(t, ctx, c); len(values) != 1 || !bytes.Equal(values[0].Data, kept) {
		t.Fatal("the data is gone")
	}
}
