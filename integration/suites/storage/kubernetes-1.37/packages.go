// Package packages names the packages of Kubernetes whose tests are run, so that go.mod and
// go.sum hold all that these need.
package packages

import (
	_ "k8s.io/apiserver/pkg/storage/etcd3"
	_ "k8s.io/apiserver/pkg/storage/storagebackend/factory"
)
