package clientv3

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
)

var isolations = map[string]concurrency.Isolation{
	"SerializableSnapshot": concurrency.SerializableSnapshot,
	"Serializable":         concurrency.Serializable,
	"RepeatableReads":      concurrency.RepeatableReads,
}

// Money goes from account to account, and none is made or lost.
func TestTransfers(t *testing.T) {
	for name, isolation := range isolations {
		t.Run(name, func(t *testing.T) {
			const accounts, start = 5, 100
			client := newClient(t)
			account := func(n int) string { return prefix(t) + strconv.Itoa(n) }
			for n := range accounts {
				put(t, client, account(n), strconv.Itoa(start))
			}
			var all sync.WaitGroup
			for range 6 {
				all.Go(func() {
					for range 10 {
						if err := transfer(client, isolation, account(rand.IntN(accounts)), account(rand.IntN(accounts))); err != nil {
							t.Error(err)
						}
					}
				})
			}
			all.Wait()
			sum := 0
			for n := range accounts {
				have, err := strconv.Atoi(value(t, client, account(n)))
				must(t, err)
				sum += have
			}
			equal(t, "the sum", sum, accounts*start)
		})
	}
}

func transfer(client *clientv3.Client, isolation concurrency.Isolation, from, to string) error {
	_, err := concurrency.NewSTM(client, func(stm concurrency.STM) error {
		if from == to {
			return nil
		}
		have, _ := strconv.Atoi(stm.Get(from))
		there, err := strconv.Atoi(stm.Get(to))
		if err != nil {
			return err
		}
		amount := have / 2
		stm.Put(from, strconv.Itoa(have-amount))
		stm.Put(to, strconv.Itoa(there+amount))
		return nil
	}, concurrency.WithIsolation(isolation))
	return err
}

func TestTransactionsThatFailWriteNothing(t *testing.T) {
	client := newClient(t)
	put(t, client, prefix(t)+"key", "before")
	refused := errors.New("no")
	_, err := concurrency.NewSTM(client, func(stm concurrency.STM) error {
		stm.Put(prefix(t)+"key", "after")
		return refused
	})
	equal(t, "the error", err, refused)
	equal(t, "the key", value(t, client, prefix(t)+"key"), "before")
}

func TestTransactionsDeleteAndSeeTheirOwnWrites(t *testing.T) {
	client := newClient(t)
	first := put(t, client, prefix(t)+"first", "1")
	_, err := concurrency.NewSTM(client, func(stm concurrency.STM) error {
		if revision := stm.Rev(prefix(t) + "first"); revision != first.Header.Revision {
			return fmt.Errorf("the key is of revision %d, not %d", revision, first.Header.Revision)
		}
		stm.Put(prefix(t)+"second", stm.Get(prefix(t)+"first")+"2")
		if got := stm.Get(prefix(t) + "second"); got != "12" {
			return fmt.Errorf("reads %q after writing 12", got)
		}
		stm.Del(prefix(t) + "first")
		return nil
	}, concurrency.WithPrefetch(prefix(t)+"first", prefix(t)+"second"))
	must(t, err)
	equal(t, "the first", value(t, client, prefix(t)+"first"), "")
	equal(t, "the second", value(t, client, prefix(t)+"second"), "12")
}
