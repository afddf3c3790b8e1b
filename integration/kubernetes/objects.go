package main

import (
	"fmt"
	"math/rand/v2"

	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	apiext "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

func named(name string) meta.ObjectMeta { return meta.ObjectMeta{Name: name} }

func namespace(name string) *core.Namespace { return &core.Namespace{ObjectMeta: named(name)} }

// node is one that kwok simulates.
func node(i int) *core.Node {
	n := &core.Node{ObjectMeta: named(fmt.Sprintf("node-%d", i))}
	n.Labels = map[string]string{"kubernetes.io/hostname": n.Name, "type": "kwok"}
	n.Annotations = map[string]string{"kwok.x-k8s.io/node": "fake"}
	n.Status.Capacity = core.ResourceList{
		core.ResourceCPU: resource.MustParse("32"), core.ResourceMemory: resource.MustParse("256Gi"),
		core.ResourcePods: resource.MustParse("110"),
	}
	n.Status.Allocatable = n.Status.Capacity
	return n
}

func podTemplate(app, version string) core.PodTemplateSpec {
	return core.PodTemplateSpec{
		ObjectMeta: meta.ObjectMeta{Labels: map[string]string{"app": app}},
		Spec: core.PodSpec{Containers: []core.Container{{
			Name: "main", Image: "example.invalid/" + app + ":" + version,
			Resources: core.ResourceRequirements{Requests: core.ResourceList{core.ResourceCPU: resource.MustParse("10m")}},
		}}},
	}
}

func selector(app string) *meta.LabelSelector {
	return &meta.LabelSelector{MatchLabels: map[string]string{"app": app}}
}

func deployment(name string, replicas int32) *apps.Deployment {
	return &apps.Deployment{ObjectMeta: named(name), Spec: apps.DeploymentSpec{
		Replicas: &replicas, Selector: selector(name), Template: podTemplate(name, "1"),
	}}
}

// statefulSet mounts the ConfigMap of the same name and is reached by the Service of that name.
func statefulSet(name string, replicas int32) *apps.StatefulSet {
	template := podTemplate(name, "1")
	template.Spec.Volumes = []core.Volume{{Name: "config", VolumeSource: core.VolumeSource{
		ConfigMap: &core.ConfigMapVolumeSource{LocalObjectReference: core.LocalObjectReference{Name: name}},
	}}}
	template.Spec.Containers[0].VolumeMounts = []core.VolumeMount{{Name: "config", MountPath: "/config"}}
	return &apps.StatefulSet{ObjectMeta: named(name), Spec: apps.StatefulSetSpec{
		Replicas: &replicas, ServiceName: name, Selector: selector(name), Template: template,
	}}
}

func headlessService(name string) *core.Service {
	return &core.Service{ObjectMeta: named(name), Spec: core.ServiceSpec{
		ClusterIP: core.ClusterIPNone, Selector: map[string]string{"app": name},
		Ports: []core.ServicePort{{Name: "http", Port: 80}},
	}}
}

func configMap(name string, data map[string]string) *core.ConfigMap {
	return &core.ConfigMap{ObjectMeta: named(name), Data: data}
}

// randomText does not compress and differs from call to call.
func randomText(bytes int) string {
	text := make([]byte, bytes)
	for i := range text {
		text[i] = "0123456789abcdefghijklmnopqrstuv"[rand.IntN(32)]
	}
	return string(text)
}

var widgets = schema.GroupVersionResource{Group: "test.jine.example", Version: "v1", Resource: "widgets"}

func widgetDefinition() *apiext.CustomResourceDefinition {
	keepAll := true
	return &apiext.CustomResourceDefinition{
		ObjectMeta: named("widgets." + widgets.Group),
		Spec: apiext.CustomResourceDefinitionSpec{
			Group: widgets.Group, Scope: apiext.NamespaceScoped,
			Names: apiext.CustomResourceDefinitionNames{Plural: "widgets", Singular: "widget", Kind: "Widget", ListKind: "WidgetList"},
			Versions: []apiext.CustomResourceDefinitionVersion{{
				Name: "v1", Served: true, Storage: true,
				Schema: &apiext.CustomResourceValidation{OpenAPIV3Schema: &apiext.JSONSchemaProps{
					Type: "object", XPreserveUnknownFields: &keepAll,
				}},
				Subresources: &apiext.CustomResourceSubresources{Status: &apiext.CustomResourceSubresourceStatus{}},
			}},
		},
	}
}

func widget(i int) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": widgets.GroupVersion().String(), "kind": "Widget",
		"metadata": map[string]any{"name": fmt.Sprintf("widget-%02d", i)},
		"spec":     map[string]any{"size": int64(i), "colour": "red"},
	}}
}
