package main

import (
	"fmt"
	"math/rand/v2"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// runFaults takes every process of the datastore down under load, in turn.
func runFaults(r *Run) {
	if r.datastore == "etcd" {
		r.faultsOn(false)
		return
	}
	if r.embedded {
		r.Say("jine with a nats-server of its own")
		r.part("embedded", func() { r.faultsOn(false) })
	}
	if r.external {
		r.Say("jine on an external nats-server")
		r.part("external", func() { r.faultsOn(true) })
	}
}

func (r *Run) faultsOn(external bool) {
	ctx := r.ctx
	// Compaction as often as by default: a client may be away for a while.
	d, c := r.bringUp(10, external, 5*time.Minute)
	informers := startInformers(ctx, c)
	r.Must("the load is there", func() error {
		if _, err := c.kube.CoreV1().Namespaces().Create(ctx, namespace(work), meta.CreateOptions{}); err != nil {
			return err
		}
		if _, err := c.kube.AppsV1().Deployments(work).Create(ctx, deployment("web", 50), meta.CreateOptions{}); err != nil {
			return err
		}
		if err := c.statefulSet(); err != nil {
			return err
		}
		return c.awaitDeployment(2*time.Minute, work, "web", 50)
	})
	var rs *Recorders
	r.Must(fmt.Sprintf("%d recording clients write", recorders), func() (err error) {
		if rs, err = startRecorders(ctx, d); err != nil {
			return err
		}
		return r.eventually(10*time.Second, func() error {
			if n := rs.acks.Load(); n < 100 {
				return fmt.Errorf("%d acknowledged writes", n)
			}
			return nil
		})
	})
	churn := startChurn(ctx, c)
	for round := range r.rounds {
		for _, fault := range d.Faults() {
			r.fault(d, c, rs, fault, fmt.Sprintf("round %d, %s", round+1, fault.name))
		}
	}
	r.Must("the load is as wanted at last", func() error {
		if err := c.scale(work, "web", 50); err != nil {
			return err
		}
		if err := c.awaitDeployment(2*time.Minute, work, "web", 50); err != nil {
			return err
		}
		return c.awaitStatefulSet(time.Minute, work, "db", 5)
	})
	r.Check("the API server lists what it has acknowledged", func() error { return churn.check(r, c) })
	r.Say("%d objects made and changed besides, of which %d met an error", churn.made, churn.failed)
	r.Check("the recorders find every acknowledged write, and others whole or absent", func() error {
		v, err := rs.verify(r)
		r.Say("%d writes acknowledged, %d of them of three keys; %d not acknowledged: %d whole, %d absent",
			v.acked, v.ackedGroups, v.unknown, v.whole, v.absent)
		return err
	})
	rs.close()
	informers.check(r, c)
	r.Check("what is stored is what is listed", func() error { return c.registryMatches(d) })
	r.checkLog(c)
	r.Say("controllers had to be started again %d times", c.restarts.Load())
	r.takeDown(d, c)
}

// fault strikes while pods are being made and the recorders write, and waits for all to be well.
func (r *Run) fault(d Datastore, c *ControlPlane, rs *Recorders, fault Fault, name string) {
	rs.hurry.Store(true)
	time.Sleep(time.Duration(200+rand.IntN(300)) * time.Millisecond)
	// All pods are being replaced, and their number changes, when it happens.
	replicas := 30 + rand.Int32N(30)
	if err := c.patchDeployment(work, "web", fmt.Appendf(nil, `{"spec":{"replicas":%d,"template":{"spec":{"containers":[{
		"name":"main","image":"example.invalid/web:%s"}]}}}}`, replicas, randomText(8))); err != nil {
		r.Check(name, func() error { return err })
		return
	}
	time.Sleep(time.Duration(50+rand.IntN(400)) * time.Millisecond)
	inFlight := int32(0)
	r.Check(name, func() error {
		if err := r.eventually(10*time.Second, func() error {
			if inFlight = rs.inFlight.Load(); inFlight < 20 {
				return fmt.Errorf("only %d requests are under way", inFlight)
			}
			return nil
		}); err != nil {
			return err
		}
		return fault.strike()
	})
	struck := time.Now()
	acks := rs.acks.Load()
	r.Must("  the datastore is back", func() error {
		if err := fault.mend(); err != nil {
			return err
		}
		return r.awaitDatastore(d)
	})
	r.Check("  it left no process behind", d.Lost)
	r.Check("  writes are acknowledged again", func() error {
		return r.eventually(30*time.Second, func() error {
			if rs.acks.Load() < acks+100 {
				return fmt.Errorf("%d since", rs.acks.Load()-acks)
			}
			return nil
		})
	})
	r.Say("  %d requests were in flight; 100 more acknowledged %.1fs after", inFlight, time.Since(struck).Seconds())
	rs.hurry.Store(false)
	c.renewKwok()
	r.Check(fmt.Sprintf("  the Deployment converges to %d", replicas), func() error {
		err := c.awaitDeployment(90*time.Second, work, "web", replicas)
		if apierrors.IsServiceUnavailable(err) {
			return fmt.Errorf("the API server is not back: %w", err)
		}
		return err
	})
}
