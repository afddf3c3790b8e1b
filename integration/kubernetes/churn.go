package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Churn makes, changes and deletes objects all the time, and notes which must be there.
type Churn struct {
	stop    context.CancelFunc
	done    sync.WaitGroup
	version map[string]string // of the objects whose last change was acknowledged
	made    int
	failed  int
}

func startChurn(ctx context.Context, c *ControlPlane) *Churn {
	churn := &Churn{version: map[string]string{}}
	ctx, churn.stop = context.WithCancel(ctx)
	churn.done.Add(1)
	go func() {
		defer churn.done.Done()
		for i := 0; ctx.Err() == nil; i++ {
			churn.turn(ctx, c, fmt.Sprintf("churn-%06d", i), i%3 == 0)
			time.Sleep(100 * time.Millisecond)
		}
	}()
	return churn
}

// turn takes one object through its life. Where an answer is missing its state is unknown, and
// it is left out of the account.
func (h *Churn) turn(ctx context.Context, c *ControlPlane, name string, remove bool) {
	maps := c.kube.CoreV1().ConfigMaps(work)
	object, err := maps.Create(ctx, configMap(name, map[string]string{"text": randomText(1000)}), meta.CreateOptions{})
	if err != nil {
		h.failed++
		return
	}
	h.made++
	object.Data["more"] = "yes"
	if object, err = maps.Update(ctx, object, meta.UpdateOptions{}); err != nil {
		h.failed++
		return
	}
	if remove {
		if err = maps.Delete(ctx, name, meta.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
			h.failed++
			return
		}
		h.version[name] = ""
		return
	}
	h.version[name] = object.ResourceVersion
}

// check ends it and compares with what the API server lists.
func (h *Churn) check(r *Run, c *ControlPlane) error {
	h.stop()
	h.done.Wait()
	return r.eventually(30*time.Second, func() error {
		list, err := c.kube.CoreV1().ConfigMaps(work).List(r.ctx, meta.ListOptions{})
		if err != nil {
			return err
		}
		listed := map[string]string{}
		for _, item := range list.Items {
			listed[item.Name] = item.ResourceVersion
		}
		for name, version := range h.version {
			if listed[name] != version {
				return fmt.Errorf("%s was acknowledged at %q and is listed at %q", name, version, listed[name])
			}
		}
		return nil
	})
}
