package main

import (
	"fmt"
	"time"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// addNodes creates nodes and waits until kwok has made them ready.
func (c *ControlPlane) addNodes(n int) error {
	for i := range n {
		if _, err := c.kube.CoreV1().Nodes().Create(c.run.ctx, node(i), meta.CreateOptions{}); err != nil {
			return err
		}
	}
	return c.run.eventually(60*time.Second, func() error {
		nodes, err := c.kube.CoreV1().Nodes().List(c.run.ctx, meta.ListOptions{})
		if err != nil {
			return err
		}
		ready := 0
		for _, node := range nodes.Items {
			for _, condition := range node.Status.Conditions {
				if condition.Type == core.NodeReady && condition.Status == core.ConditionTrue && len(node.Spec.Taints) == 0 {
					ready++
				}
			}
		}
		if ready != n {
			return fmt.Errorf("%d of %d nodes are ready", ready, n)
		}
		return nil
	})
}

// scale sets a Deployment's number of pods, trying again while the API server is away.
func (c *ControlPlane) scale(ns, name string, replicas int32) error {
	patch := fmt.Appendf(nil, `{"spec":{"replicas":%d}}`, replicas)
	return c.patchDeployment(ns, name, patch)
}

func (c *ControlPlane) patchDeployment(ns, name string, patch []byte) error {
	return c.run.eventually(60*time.Second, func() error {
		_, err := c.kube.AppsV1().Deployments(ns).Patch(c.run.ctx, name, types.MergePatchType, patch, meta.PatchOptions{})
		return err
	})
}

// awaitDeployment waits until the Deployment and its pods are as wanted: that many, all ready,
// all of the newest template, and none besides.
func (c *ControlPlane) awaitDeployment(limit time.Duration, ns, name string, replicas int32) error {
	return c.run.eventually(limit, func() error {
		d, err := c.kube.AppsV1().Deployments(ns).Get(c.run.ctx, name, meta.GetOptions{})
		if err != nil {
			return err
		}
		s := d.Status
		if s.ObservedGeneration < d.Generation || s.Replicas != replicas || s.ReadyReplicas != replicas ||
			s.UpdatedReplicas != replicas || s.AvailableReplicas != replicas {
			return fmt.Errorf("deployment %s: %d pods, %d updated, %d ready, %d wanted",
				name, s.Replicas, s.UpdatedReplicas, s.ReadyReplicas, replicas)
		}
		return c.podsReady(ns, name, int(replicas))
	})
}

func (c *ControlPlane) awaitStatefulSet(limit time.Duration, ns, name string, replicas int32) error {
	return c.run.eventually(limit, func() error {
		s, err := c.kube.AppsV1().StatefulSets(ns).Get(c.run.ctx, name, meta.GetOptions{})
		if err != nil {
			return err
		}
		if s.Status.ReadyReplicas != replicas {
			return fmt.Errorf("stateful set %s: %d of %d ready", name, s.Status.ReadyReplicas, replicas)
		}
		for i := range replicas {
			if _, err := c.kube.CoreV1().Pods(ns).Get(c.run.ctx, fmt.Sprintf("%s-%d", name, i), meta.GetOptions{}); err != nil {
				return err
			}
		}
		return c.podsReady(ns, name, int(replicas))
	})
}

// podsReady is nil if exactly that many pods of the app exist, and all are ready.
func (c *ControlPlane) podsReady(ns, app string, want int) error {
	pods, err := c.kube.CoreV1().Pods(ns).List(c.run.ctx, meta.ListOptions{LabelSelector: "app=" + app})
	if err != nil {
		return err
	}
	ready := 0
	for i := range pods.Items {
		if podReady(&pods.Items[i]) {
			ready++
		}
	}
	if len(pods.Items) != want || ready != want {
		return fmt.Errorf("%d pods of %s are there and %d ready, %d wanted", len(pods.Items), app, ready, want)
	}
	return nil
}

func podReady(pod *core.Pod) bool {
	if pod.DeletionTimestamp != nil || pod.Spec.NodeName == "" {
		return false
	}
	for _, condition := range pod.Status.Conditions {
		if condition.Type == core.PodReady {
			return condition.Status == core.ConditionTrue
		}
	}
	return false
}

// podIDs maps the names of an app's pods to their UIDs.
func (c *ControlPlane) podIDs(ns, app string) (map[string]types.UID, error) {
	pods, err := c.kube.CoreV1().Pods(ns).List(c.run.ctx, meta.ListOptions{LabelSelector: "app=" + app})
	if err != nil {
		return nil, err
	}
	ids := map[string]types.UID{}
	for _, pod := range pods.Items {
		ids[pod.Name] = pod.UID
	}
	return ids, nil
}
