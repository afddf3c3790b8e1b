package clientv3

import (
	"slices"
	"strconv"
	"sync"
	"testing"

	recipe "go.etcd.io/etcd/client/v3/experimental/recipes"
)

func TestQueueIsEmptiedInOrder(t *testing.T) {
	queue := recipe.NewQueue(newClient(t), prefix(t))
	for n := range 20 {
		must(t, queue.Enqueue(strconv.Itoa(n)))
	}
	for n := range 20 {
		got, err := queue.Dequeue()
		must(t, err)
		equal(t, "the next", got, strconv.Itoa(n))
	}
}

func TestQueueGivesEachThingToOne(t *testing.T) {
	const things, takers = 40, 4
	got := make(chan string, things)
	var all sync.WaitGroup
	for range takers {
		queue := recipe.NewQueue(newClient(t), prefix(t))
		all.Go(func() {
			for range things / takers {
				thing, err := queue.Dequeue()
				if err != nil {
					t.Error(err)
				}
				got <- thing
			}
		})
	}
	queue := recipe.NewQueue(newClient(t), prefix(t))
	for n := range things {
		must(t, queue.Enqueue(strconv.Itoa(n)))
	}
	all.Wait()
	close(got)
	seen := map[string]bool{}
	for thing := range got {
		equal(t, "seen "+thing+" before", seen[thing], false)
		seen[thing] = true
	}
	equal(t, "things", len(seen), things)
}

func TestPriorityQueue(t *testing.T) {
	queue := recipe.NewPriorityQueue(newClient(t), prefix(t))
	for _, priority := range []uint16{3, 1, 2, 1} {
		must(t, queue.Enqueue(strconv.Itoa(int(priority)), priority))
	}
	var got []string
	for range 4 {
		next, err := queue.Dequeue()
		must(t, err)
		got = append(got, next)
	}
	if !slices.IsSorted(got) {
		t.Fatal("not by priority:", got)
	}
}

func TestBarrierHoldsUntilReleased(t *testing.T) {
	barrier := recipe.NewBarrier(newClient(t), prefix(t)+"barrier")
	must(t, barrier.Hold())
	through := make(chan error, 3)
	for range 3 {
		other := recipe.NewBarrier(newClient(t), prefix(t)+"barrier")
		go func() { through <- other.Wait() }()
	}
	select {
	case <-through:
		t.Fatal("the barrier doesn't hold")
	default:
	}
	must(t, barrier.Release())
	for range 3 {
		must(t, receive(t, "one who waits", through))
	}
}

func TestDoubleBarrierWaitsForAll(t *testing.T) {
	const count = 4
	inside := make(chan error, count)
	outside := make(chan error, count)
	leave := make(chan struct{})
	for range count {
		barrier := recipe.NewDoubleBarrier(newSession(t, newClient(t)), prefix(t)+"barrier", count)
		go func() {
			inside <- barrier.Enter()
			<-leave
			outside <- barrier.Leave()
		}()
	}
	for range count {
		must(t, receive(t, "one who enters", inside))
	}
	close(leave)
	for range count {
		must(t, receive(t, "one who leaves", outside))
	}
}

func TestReadersShareALockThatWritersHoldAlone(t *testing.T) {
	lock := func() *recipe.RWMutex { return recipe.NewRWMutex(newSession(t, newClient(t)), prefix(t)+"lock") }
	first, second, writer := lock(), lock(), lock()
	must(t, first.RLock())
	must(t, second.RLock())
	written := make(chan error, 1)
	go func() { written <- writer.Lock() }()
	must(t, first.RUnlock())
	select {
	case <-written:
		t.Fatal("a writer beside a reader")
	default:
	}
	must(t, second.RUnlock())
	must(t, receive(t, "the writer", written))
	must(t, writer.Unlock())
}
