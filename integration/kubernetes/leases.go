package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// leaders runs two candidates; the first to lead goes without a word, and the other follows.
func (c *ControlPlane) leaders() error {
	ctx, cancel := context.WithTimeout(c.run.ctx, time.Minute)
	defer cancel()
	elected := make(chan string, 4)
	stop := map[string]context.CancelFunc{}
	for _, who := range []string{"one", "two"} {
		lock, err := resourcelock.New(resourcelock.LeasesResourceLock, work, "election",
			c.kube.CoreV1(), c.kube.CoordinationV1(), resourcelock.ResourceLockConfig{Identity: who})
		if err != nil {
			return err
		}
		candidate, leave := context.WithCancel(ctx)
		defer leave()
		stop[who] = leave
		go leaderelection.RunOrDie(candidate, leaderelection.LeaderElectionConfig{
			Lock: unhurried{lock}, LeaseDuration: 4 * time.Second, RenewDeadline: 3 * time.Second, RetryPeriod: 500 * time.Millisecond,
			Callbacks: leaderelection.LeaderCallbacks{
				OnStartedLeading: func(context.Context) { elected <- who },
				OnStoppedLeading: func() {},
			},
		})
	}
	next := func() (string, error) {
		select {
		case who := <-elected:
			return who, nil
		case <-ctx.Done():
			return "", errors.New("nobody was elected")
		}
	}
	first, err := next()
	if err != nil {
		return err
	}
	select {
	case who := <-elected:
		return fmt.Errorf("%s and %s led at once", first, who)
	case <-time.After(2 * time.Second):
	}
	stop[first]()
	second, err := next()
	if err == nil && second == first {
		err = fmt.Errorf("%s was elected again after it had gone", first)
	}
	return err
}

// unhurried finishes a request that is under way when its candidate goes: one that is broken
// off counts as a failed request in the API server's metrics.
type unhurried struct{ resourcelock.Interface }

func (u unhurried) Update(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	return u.Interface.Update(context.WithoutCancel(ctx), record)
}

// componentLeases expects controller-manager and scheduler to renew their leases.
func (c *ControlPlane) componentLeases() error {
	leases := c.kube.CoordinationV1().Leases("kube-system")
	for _, name := range []string{"kube-controller-manager", "kube-scheduler"} {
		before, err := leases.Get(c.run.ctx, name, meta.GetOptions{})
		if err != nil {
			return err
		}
		if err := c.run.eventually(15*time.Second, func() error {
			now, err := leases.Get(c.run.ctx, name, meta.GetOptions{})
			if err == nil && !now.Spec.RenewTime.After(before.Spec.RenewTime.Time) {
				err = fmt.Errorf("the lease of %s is not renewed", name)
			}
			return err
		}); err != nil {
			return err
		}
	}
	return nil
}

// createEvent makes an Event, and returns the check that it lives as long as it should.
func (r *Run) createEvent(c *ControlPlane) func() error {
	events := c.kube.CoreV1().Events(work)
	var made time.Time
	r.Check("an Event is made", func() error {
		_, err := events.Create(r.ctx, &core.Event{
			ObjectMeta: named("short-lived"), Reason: "Test", Message: "goes by itself", Type: "Normal",
			InvolvedObject: core.ObjectReference{Kind: "Namespace", Name: work, Namespace: work},
		}, meta.CreateOptions{})
		made = time.Now()
		return err
	})
	// The goroutine looks at it while the other checks run.
	var lived time.Duration
	var failed error
	done := make(chan struct{})
	go func() {
		defer close(done)
		// The API server shares leases, which may add 5 %; expiry itself may take a moment.
		for limit := eventTTL + eventTTL/20 + 10*time.Second; time.Since(made) < limit; time.Sleep(500 * time.Millisecond) {
			_, err := events.Get(r.ctx, "short-lived", meta.GetOptions{})
			if err == nil {
				continue
			}
			lived, failed = time.Since(made), wantNotFound(err)
			return
		}
		failed = errors.New("it outlives its TTL")
	}()
	return func() error {
		<-done
		if failed == nil && lived < eventTTL-time.Second {
			failed = fmt.Errorf("it lived %s, not %s", lived, eventTTL)
		}
		if failed == nil {
			r.Say("the Event lived %.1fs, its TTL is %s", lived.Seconds(), eventTTL)
		}
		return failed
	}
}
