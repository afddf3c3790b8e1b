package main

import (
	"fmt"
	"time"

	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// work is the namespace of all that stays to the end.
const work = "work"

// runFull puts a control plane of ten nodes to work of all kinds. Nothing is killed, so
// nothing may fail.
func runFull(r *Run) {
	d, c := r.bringUp(10, r.external, 15*time.Second)
	ctx := r.ctx
	informers := startInformers(ctx, c)
	r.Must("a namespace is made", func() error {
		_, err := c.kube.CoreV1().Namespaces().Create(ctx, namespace(work), meta.CreateOptions{})
		return err
	})
	event := r.createEvent(c)

	r.Must("a Deployment of 50 pods gets ready", func() error {
		if _, err := c.kube.AppsV1().Deployments(work).Create(ctx, deployment("web", 50), meta.CreateOptions{}); err != nil {
			return err
		}
		return c.awaitDeployment(2*time.Minute, work, "web", 50)
	})
	r.Check("a StatefulSet of 5 with headless Service and ConfigMap gets ready", func() error { return c.statefulSet() })
	r.Check("the headless Service finds the 5 pods", func() error { return c.endpoints("db", 5) })
	r.checkWidgets(c)
	r.Check("a ConfigMap of 900 KiB is kept and changed", func() error { return c.bigConfigMap() })
	r.Check("a watch sees 90 changes once and in order, live and from the past", func() error { return c.watchChanges() })
	r.Check("a list in pages is one snapshot", func() error { return c.pages() })
	r.Check("a leader is elected, and another when it is gone", func() error { return c.leaders() })
	r.Check("the components renew their leader leases", func() error { return c.componentLeases() })
	r.Check("50 pods are replaced in a rolling update", func() error {
		patch := []byte(`{"spec":{"template":{"spec":{"containers":[{"name":"main","image":"example.invalid/web:2"}]}}}}`)
		if err := c.patchDeployment(work, "web", patch); err != nil {
			return err
		}
		return c.awaitDeployment(3*time.Minute, work, "web", 50)
	})
	r.Check("a namespace with all it holds is deleted", func() error { return c.deleteNamespace(d) })
	r.Check("an Event lives as long as its TTL, and no longer", event)
	r.Check("the history has been compacted", func() error { return compacted(ctx, d) })
	r.Check("what is stored is what is listed", func() error { return c.registryMatches(d) })
	r.checkNATSView(d, c)
	informers.check(r, c)
	r.checkMetrics(c)
	r.checkLog(c)
	r.Check("no component had to be started again", func() error {
		if n := c.restarts.Load(); n > 0 {
			return fmt.Errorf("%d restarts", n)
		}
		return nil
	})
	r.takeDown(d, c)
}

func (c *ControlPlane) statefulSet() error {
	ctx := c.run.ctx
	if _, err := c.kube.CoreV1().ConfigMaps(work).Create(ctx, configMap("db", map[string]string{"mode": "test"}), meta.CreateOptions{}); err != nil {
		return err
	}
	if _, err := c.kube.CoreV1().Services(work).Create(ctx, headlessService("db"), meta.CreateOptions{}); err != nil {
		return err
	}
	if _, err := c.kube.AppsV1().StatefulSets(work).Create(ctx, statefulSet("db", 5), meta.CreateOptions{}); err != nil {
		return err
	}
	return c.awaitStatefulSet(time.Minute, work, "db", 5)
}

// endpoints waits until the Service has so many ready endpoints.
func (c *ControlPlane) endpoints(service string, want int) error {
	return c.run.eventually(30*time.Second, func() error {
		slices, err := c.kube.DiscoveryV1().EndpointSlices(work).List(c.run.ctx,
			meta.ListOptions{LabelSelector: "kubernetes.io/service-name=" + service})
		if err != nil {
			return err
		}
		ready := 0
		for _, slice := range slices.Items {
			for _, endpoint := range slice.Endpoints {
				if endpoint.Conditions.Ready != nil && *endpoint.Conditions.Ready {
					ready++
				}
			}
		}
		if ready != want {
			return fmt.Errorf("%d of %d endpoints", ready, want)
		}
		return nil
	})
}

// deleteNamespace fills a namespace, deletes it, and looks into the datastore for what is left.
func (c *ControlPlane) deleteNamespace(d Datastore) error {
	const doomed = "doomed"
	ctx := c.run.ctx
	if _, err := c.kube.CoreV1().Namespaces().Create(ctx, namespace(doomed), meta.CreateOptions{}); err != nil {
		return err
	}
	for i := range 30 {
		if _, err := c.kube.CoreV1().ConfigMaps(doomed).Create(ctx, configMap(fmt.Sprintf("c-%d", i), nil), meta.CreateOptions{}); err != nil {
			return err
		}
	}
	if _, err := c.kube.AppsV1().Deployments(doomed).Create(ctx, deployment("gone", 5), meta.CreateOptions{}); err != nil {
		return err
	}
	if err := c.awaitDeployment(time.Minute, doomed, "gone", 5); err != nil {
		return err
	}
	if err := c.kube.CoreV1().Namespaces().Delete(ctx, doomed, meta.DeleteOptions{}); err != nil {
		return err
	}
	if err := c.run.eventually(90*time.Second, func() error {
		_, err := c.kube.CoreV1().Namespaces().Get(ctx, doomed, meta.GetOptions{})
		return wantNotFound(err)
	}); err != nil {
		return err
	}
	return nothingStoredOf(ctx, d, doomed)
}
