// Package embed stands in for etcd's package of that name where Kubernetes' tests use it: its
// StartEtcd runs an etcd server as a program instead of in the test's own process. It has what
// those tests ask for, and no more.
package embed

import (
	"net/url"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	"go.uber.org/zap"
)

// Config has those of etcd's fields that the tests set or read.
type Config struct {
	Name string
	Dir  string

	ListenPeerUrls, AdvertisePeerUrls     []url.URL
	ListenClientUrls, AdvertiseClientUrls []url.URL
	ClientTLSInfo                         transport.TLSInfo
	InitialCluster                        string

	// WatchProgressNotifyInterval is the server's default where it is 0.
	WatchProgressNotifyInterval time.Duration
	// QuotaBackendBytes is set by tests that write more than 2 GiB; the program decides for itself.
	QuotaBackendBytes int64
	// UnsafeNoFsync and ZapLoggerBuilder concern an etcd within this process only.
	UnsafeNoFsync    bool
	ZapLoggerBuilder func(*Config) error
}

func NewConfig() *Config { return &Config{Name: "default"} }

func NewZapLoggerBuilder(*zap.Logger) func(*Config) error {
	return func(*Config) error { return nil }
}

func (c *Config) InitialClusterFromName(name string) string {
	return name + "=" + c.AdvertisePeerUrls[0].String()
}
