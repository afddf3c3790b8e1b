// Package packages names what the integration tests of Kubernetes are made of, so that go.mod and go.sum hold all
// that these need: most of their own packages hold tests only, and cannot be imported.
package packages

import (
	_ "k8s.io/apiextensions-apiserver/test/integration/fixtures"
	_ "k8s.io/cli-runtime/pkg/genericclioptions"
	_ "k8s.io/client-go/discovery/cached/disk"
	_ "k8s.io/kubectl/pkg/cmd/util"
	_ "k8s.io/kubernetes/test/integration/etcd"
	_ "k8s.io/kubernetes/test/integration/framework"
	_ "k8s.io/kubernetes/test/integration/storageversionmigrator"
	_ "k8s.io/kubernetes/test/integration/util"
)
