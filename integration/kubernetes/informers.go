package main

import (
	"context"
	"fmt"
	"maps"
	"time"

	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/tools/cache"
)

// followed are the resources of which an informer holds a copy during the whole run.
var followed = []schema.GroupVersionResource{
	{Version: "v1", Resource: "namespaces"}, {Version: "v1", Resource: "nodes"}, {Version: "v1", Resource: "pods"},
	{Version: "v1", Resource: "configmaps"}, {Version: "v1", Resource: "services"},
	{Version: "v1", Resource: "serviceaccounts"}, {Version: "v1", Resource: "events"},
	{Group: "apps", Version: "v1", Resource: "deployments"}, {Group: "apps", Version: "v1", Resource: "replicasets"},
	{Group: "apps", Version: "v1", Resource: "statefulsets"},
	{Group: "discovery.k8s.io", Version: "v1", Resource: "endpointslices"},
	{Group: "coordination.k8s.io", Version: "v1", Resource: "leases"},
}

// Informers follow resources by watches, as controllers do.
type Informers struct {
	stores map[schema.GroupVersionResource]cache.Store
}

func startInformers(ctx context.Context, c *ControlPlane) *Informers {
	factory := dynamicinformer.NewDynamicSharedInformerFactory(c.dynamic, 0)
	i := &Informers{stores: map[schema.GroupVersionResource]cache.Store{}}
	for _, resource := range followed {
		i.stores[resource] = factory.ForResource(resource).Informer().GetStore()
	}
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	return i
}

// check compares each informer's copy with a fresh list. Some resources never rest, so it tries
// until both are of the same moment.
func (i *Informers) check(r *Run, c *ControlPlane) {
	r.Check("the informers hold what a fresh list has", func() error {
		total := 0
		for resource, store := range i.stores {
			if err := r.eventually(30*time.Second, func() error {
				fresh, err := listVersions(r.ctx, c.dynamic, resource)
				if err != nil {
					return err
				}
				held := map[string]string{}
				for _, object := range store.List() {
					o := object.(meta.Object)
					held[o.GetNamespace()+"/"+o.GetName()+"/"+string(o.GetUID())] = o.GetResourceVersion()
				}
				if !maps.Equal(fresh, held) {
					return fmt.Errorf("%s: %s", resource.Resource, difference(fresh, held))
				}
				total += len(held)
				return nil
			}); err != nil {
				return err
			}
		}
		r.Say("%d objects of %d resources compared", total, len(i.stores))
		return nil
	})
}

func listVersions(ctx context.Context, client dynamic.Interface, resource schema.GroupVersionResource) (map[string]string, error) {
	list, err := client.Resource(resource).List(ctx, meta.ListOptions{})
	if err != nil {
		return nil, err
	}
	versions := map[string]string{}
	for _, o := range list.Items {
		versions[o.GetNamespace()+"/"+o.GetName()+"/"+string(o.GetUID())] = o.GetResourceVersion()
	}
	return versions, nil
}

func difference(fresh, held map[string]string) string {
	for key, version := range fresh {
		if held[key] != version {
			return fmt.Sprintf("%s is listed at %s and held at %q", key, version, held[key])
		}
	}
	for key, version := range held {
		if _, there := fresh[key]; !there {
			return fmt.Sprintf("%s is held at %s and not listed", key, version)
		}
	}
	return "no difference"
}
