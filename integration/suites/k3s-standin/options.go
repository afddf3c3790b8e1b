package main

import (
	"errors"
	"flag"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Options are those flags of "k3s server" that mean something here.
type Options struct {
	endpoint, dataDir, token, kubeconfig string
	port                                 int
}

// list is a flag that can be given several times and takes several values with commas.
type list []string

func (l *list) String() string { return strings.Join(*l, ",") }
func (l *list) Set(value string) error {
	*l = append(*l, strings.Split(value, ",")...)
	return nil
}

// parse knows the flags that scripts/k3s may want, and refuses all others as K3s does.
func parse(arguments []string) (*Options, error) {
	options := &Options{}
	flags := flag.NewFlagSet("k3s server", flag.ContinueOnError)
	flags.StringVar(&options.endpoint, "datastore-endpoint", "", "")
	flags.StringVar(&options.dataDir, "data-dir", "/var/lib/rancher/k3s", "")
	flags.StringVar(&options.token, "token", "", "")
	flags.StringVar(&options.kubeconfig, "write-kubeconfig", "/etc/rancher/k3s/k3s.yaml", "")
	flags.IntVar(&options.port, "https-listen-port", 6443, "")
	clusterInit := flags.Bool("cluster-init", false, "")
	backend := flags.String("flannel-backend", "vxlan", "")
	var disable list
	flags.Var(&disable, "disable", "")
	_ = flags.String("write-kubeconfig-mode", "", "")
	for _, name := range []string{
		"disable-agent", "disable-cloud-controller", "disable-helm-controller", "disable-kube-proxy",
		"disable-network-policy",
	} {
		flags.Bool(name, false, "")
	}
	if err := flags.Parse(arguments); err != nil {
		return nil, err
	}
	if flags.NArg() > 0 {
		return nil, fmt.Errorf("what is %q?", flags.Args())
	}
	return options, errors.Join(
		options.checkDatastore(*clusterInit),
		oneOf("flannel-backend", *backend, "none", "vxlan", "host-gw", "wireguard-native"),
		oneOf("disable", disable.String(), "coredns", "servicelb", "traefik", "local-storage", "metrics-server", "runtimes"),
	)
}

// checkDatastore: an external etcd endpoint, and nothing that K3s would take instead of it.
func (o *Options) checkDatastore(clusterInit bool) error {
	endpoint, err := url.Parse(o.endpoint)
	switch {
	case err != nil:
		return err
	case endpoint.Scheme != "http" && endpoint.Scheme != "https":
		return fmt.Errorf("K3s takes --datastore-endpoint=%s for kine's, not for etcd's", o.endpoint)
	case clusterInit:
		return errors.New("--cluster-init means the embedded etcd, not --datastore-endpoint")
	case o.token == "":
		return errors.New("without --token another server can't read the bootstrap data")
	}
	if _, err := os.Stat(filepath.Join(o.dataDir, "server/db/etcd")); err == nil {
		return errors.New("there is an embedded etcd in --data-dir, which K3s prefers to --datastore-endpoint")
	}
	return nil
}

func oneOf(flag, values string, allowed ...string) error {
	for value := range strings.SplitSeq(values, ",") {
		if value != "" && !slices.Contains(allowed, value) {
			return fmt.Errorf("--%s=%s is not one of %v", flag, value, allowed)
		}
	}
	return nil
}
