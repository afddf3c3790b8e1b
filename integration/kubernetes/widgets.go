package main

import (
	"errors"
	"fmt"
	"time"

	apiext "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// wantNotFound turns "there is no such object" into success, and success into an error.
func wantNotFound(err error) error {
	switch {
	case err == nil:
		return errors.New("it is still there")
	case apierrors.IsNotFound(err):
		return nil
	}
	return err
}

// checkWidgets takes a resource definition and its objects from birth to death.
func (r *Run) checkWidgets(c *ControlPlane) {
	definitions := c.crds.ApiextensionsV1().CustomResourceDefinitions()
	objects := c.dynamic.Resource(widgets).Namespace(work)
	ctx := r.ctx
	if !r.Check("a CustomResourceDefinition is served", func() error {
		definition, err := definitions.Create(ctx, widgetDefinition(), meta.CreateOptions{})
		if err != nil {
			return err
		}
		return r.eventually(30*time.Second, func() error {
			if definition, err = definitions.Get(ctx, definition.Name, meta.GetOptions{}); err != nil {
				return err
			}
			for _, condition := range definition.Status.Conditions {
				if condition.Type == apiext.Established && condition.Status == apiext.ConditionTrue {
					_, err = objects.List(ctx, meta.ListOptions{})
					return err
				}
			}
			return errors.New("not established")
		})
	}) {
		return
	}
	var first *unstructured.Unstructured
	r.Check("20 custom objects are made, changed and listed", func() (err error) {
		for i := range 20 {
			made, err := objects.Create(ctx, widget(i), meta.CreateOptions{})
			if err != nil {
				return err
			}
			if i == 0 {
				first = made
			}
			changed := made.DeepCopy()
			_ = unstructured.SetNestedField(changed.Object, "blue", "spec", "colour")
			if changed, err = objects.Update(ctx, changed, meta.UpdateOptions{}); err != nil {
				return err
			}
			_ = unstructured.SetNestedField(changed.Object, "done", "status", "phase")
			if _, err = objects.UpdateStatus(ctx, changed, meta.UpdateOptions{}); err != nil {
				return err
			}
		}
		list, err := objects.List(ctx, meta.ListOptions{})
		if err != nil {
			return err
		}
		for _, item := range list.Items {
			colour, _, _ := unstructured.NestedString(item.Object, "spec", "colour")
			phase, _, _ := unstructured.NestedString(item.Object, "status", "phase")
			if colour != "blue" || phase != "done" {
				return fmt.Errorf("%s is %q, %q", item.GetName(), colour, phase)
			}
		}
		if len(list.Items) != 20 {
			return fmt.Errorf("%d objects", len(list.Items))
		}
		return nil
	})
	r.Check("an update of an old version is a conflict", func() error {
		if first == nil {
			return errors.New("there is no object")
		}
		_, err := objects.Update(ctx, first, meta.UpdateOptions{})
		if !apierrors.IsConflict(err) {
			return fmt.Errorf("%v", err)
		}
		return nil
	})
	r.Check("with the definition its objects go", func() error {
		name := widgetDefinition().Name
		if err := definitions.Delete(ctx, name, meta.DeleteOptions{}); err != nil {
			return err
		}
		return r.eventually(60*time.Second, func() error {
			_, err := definitions.Get(ctx, name, meta.GetOptions{})
			return wantNotFound(err)
		})
	})
}
