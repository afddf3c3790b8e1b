package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
)

// watchChanges makes, changes and deletes 30 objects, and expects a watch that was there before
// and one that starts later at the same revision to see just that.
func (c *ControlPlane) watchChanges() error {
	ctx, cancel := context.WithTimeout(c.run.ctx, time.Minute)
	defer cancel()
	maps := c.kube.CoreV1().ConfigMaps(work)
	list, err := maps.List(ctx, meta.ListOptions{})
	if err != nil {
		return err
	}
	options := meta.ListOptions{LabelSelector: "watched=yes", ResourceVersion: list.ResourceVersion}
	live, err := maps.Watch(ctx, options)
	if err != nil {
		return err
	}
	defer live.Stop()
	var want []string
	for i := range 30 {
		object := configMap(fmt.Sprintf("watched-%02d", i), map[string]string{"n": "0"})
		object.Labels = map[string]string{"watched": "yes"}
		if object, err = maps.Create(ctx, object, meta.CreateOptions{}); err != nil {
			return err
		}
		want = append(want, fmt.Sprintf("ADDED %s 0 %s", object.Name, object.ResourceVersion))
		object.Data["n"] = "1"
		if object, err = maps.Update(ctx, object, meta.UpdateOptions{}); err != nil {
			return err
		}
		want = append(want, fmt.Sprintf("MODIFIED %s 1 %s", object.Name, object.ResourceVersion))
		if err = maps.Delete(ctx, object.Name, meta.DeleteOptions{}); err != nil {
			return err
		}
		want = append(want, "DELETED "+object.Name+" 1 later")
	}
	if err := sees(ctx, live, want); err != nil {
		return fmt.Errorf("the live watch: %w", err)
	}
	late, err := maps.Watch(ctx, options)
	if err != nil {
		return err
	}
	defer late.Stop()
	if err := sees(ctx, late, want); err != nil {
		return fmt.Errorf("the late watch: %w", err)
	}
	return nil
}

func sees(ctx context.Context, w watch.Interface, want []string) error {
	last := ""
	for i, expected := range want {
		select {
		case <-ctx.Done():
			return fmt.Errorf("event %d of %d did not come", i+1, len(want))
		case event, open := <-w.ResultChan():
			if !open {
				return fmt.Errorf("it ended before event %d of %d", i+1, len(want))
			}
			object, ok := event.Object.(*core.ConfigMap)
			if !ok {
				return fmt.Errorf("%s: %v", event.Type, event.Object)
			}
			version := object.ResourceVersion
			if event.Type == watch.Deleted && version != last {
				version = "later"
			}
			last = object.ResourceVersion
			if got := fmt.Sprintf("%s %s %s %s", event.Type, object.Name, object.Data["n"], version); got != expected {
				return fmt.Errorf("event %d is %q, not %q", i+1, got, expected)
			}
		}
	}
	return nil
}

// bigConfigMap stores an object of 900 KiB twice; a watch gets the second with its predecessor.
func (c *ControlPlane) bigConfigMap() error {
	ctx, cancel := context.WithTimeout(c.run.ctx, time.Minute)
	defer cancel()
	maps := c.kube.CoreV1().ConfigMaps(work)
	made, err := maps.Create(ctx, configMap("big", map[string]string{"text": randomText(900 << 10)}), meta.CreateOptions{})
	if err != nil {
		return err
	}
	w, err := maps.Watch(ctx, meta.ListOptions{FieldSelector: "metadata.name=big", ResourceVersion: made.ResourceVersion})
	if err != nil {
		return err
	}
	defer w.Stop()
	text := randomText(900 << 10)
	made.Data["text"] = text
	if _, err = maps.Update(ctx, made, meta.UpdateOptions{}); err != nil {
		return err
	}
	read, err := maps.Get(ctx, "big", meta.GetOptions{})
	if err != nil {
		return err
	}
	if read.Data["text"] != text {
		return errors.New("it reads otherwise than it was written")
	}
	select {
	case event := <-w.ResultChan():
		if object, ok := event.Object.(*core.ConfigMap); !ok || event.Type != watch.Modified || object.Data["text"] != text {
			return fmt.Errorf("the watch says %s", event.Type)
		}
	case <-ctx.Done():
		return errors.New("the watch says nothing")
	}
	return nil
}

// pages reads a list in pages of 7 while it changes: the pages are those of the first's revision.
func (c *ControlPlane) pages() error {
	ctx := c.run.ctx
	maps := c.kube.CoreV1().ConfigMaps(work)
	var want, got []string
	for i := range 50 {
		object := configMap(fmt.Sprintf("page-%02d", i), nil)
		object.Labels = map[string]string{"paged": "yes"}
		if _, err := maps.Create(ctx, object, meta.CreateOptions{}); err != nil {
			return err
		}
		want = append(want, object.Name)
	}
	options := meta.ListOptions{LabelSelector: "paged=yes", Limit: 7}
	version := ""
	for page := 0; ; page++ {
		list, err := maps.List(ctx, options)
		if err != nil {
			return err
		}
		for _, item := range list.Items {
			got = append(got, item.Name)
		}
		if page == 0 {
			version = list.ResourceVersion
			if err := maps.Delete(ctx, "page-30", meta.DeleteOptions{}); err != nil {
				return err
			}
			late := configMap("page-30a", nil)
			late.Labels = map[string]string{"paged": "yes"}
			if _, err := maps.Create(ctx, late, meta.CreateOptions{}); err != nil {
				return err
			}
		}
		if list.ResourceVersion != version {
			return fmt.Errorf("page %d is of version %s, the first of %s", page+1, list.ResourceVersion, version)
		}
		if options.Continue = list.Continue; list.Continue == "" {
			break
		}
	}
	if !slices.Equal(want, got) {
		return fmt.Errorf("%d objects, not %d: %v", len(got), len(want), got)
	}
	return nil
}
