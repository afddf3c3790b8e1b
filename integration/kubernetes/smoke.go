package main

import (
	"fmt"
	"time"

	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// runSmoke is the shortest proof: three pods get ready on one node, the datastore is killed and
// started again on the same directory and port, and all goes on where it was.
func runSmoke(r *Run) {
	d, c := r.bringUp(1, r.external, time.Minute)
	ctx := r.ctx
	r.Must("a Deployment of 3 pods gets ready", func() error {
		if _, err := c.kube.AppsV1().Deployments("default").Create(ctx, deployment("web", 3), meta.CreateOptions{}); err != nil {
			return err
		}
		return c.awaitDeployment(time.Minute, "default", "web", 3)
	})
	before, err := c.podIDs("default", "web")
	if err != nil {
		r.Check("listing pods", func() error { return err })
	}
	fault := d.Faults()[0]
	r.Must(fault.name, fault.strike)
	r.Must("the datastore is ready again", func() error {
		if err := fault.mend(); err != nil {
			return err
		}
		return r.awaitDatastore(d)
	})
	r.Check("it left no process behind", d.Lost)
	r.Must("the API server is ready again", func() error { return c.await(time.Minute) })
	r.Must("the Deployment scales to 5", func() error {
		if err := c.scale("default", "web", 5); err != nil {
			return err
		}
		return c.awaitDeployment(time.Minute, "default", "web", 5)
	})
	r.Check("the first 3 pods are the same ones", func() error {
		after, err := c.podIDs("default", "web")
		for name, id := range before {
			if err == nil && after[name] != id {
				err = fmt.Errorf("pod %s was %s and is %q", name, id, after[name])
			}
		}
		return err
	})
	r.checkLog(c)
	r.takeDown(d, c)
}

// bringUp starts the datastore and a control plane with so many nodes.
func (r *Run) bringUp(nodes int, external bool, compaction time.Duration) (Datastore, *ControlPlane) {
	var d Datastore
	var c *ControlPlane
	r.Must("the datastore is up", func() (err error) {
		if d, err = r.newDatastore(external); err != nil {
			return err
		}
		return r.startDatastore(d)
	})
	r.Must("the API server is ready", func() (err error) {
		c, err = r.startControlPlane(d, compaction)
		return err
	})
	r.Must(fmt.Sprintf("%d node(s) are ready", nodes), func() error { return c.addNodes(nodes) })
	return d, c
}

// takeDown ends the control plane and then the datastore, which has to end in order.
func (r *Run) takeDown(d Datastore, c *ControlPlane) {
	r.Check("the API server is still the one that was started", func() error {
		if !c.apiserver.Running() {
			return fmt.Errorf("it ended: %s", c.apiserver.Tail())
		}
		return nil
	})
	c.Stop()
	r.Check("the datastore ends on SIGTERM", func() error { return d.Main().Stop(30 * time.Second) })
	if _, ok := d.(*jine); ok {
		r.Check("it exits with 0", d.Main().ExitedWell)
	}
	r.Check("it leaves no process behind", d.Lost)
}
