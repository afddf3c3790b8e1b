package e2e

import (
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// The members of a cluster are several servers on one nats-server, which lasts as long as the test. A member alone runs
// its own.
func shareNATS(tb testing.TB, cfg *EtcdProcessClusterConfig) {
	if cfg.ClusterSize == 1 {
		return
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()
	dir, err := os.MkdirTemp("", "shared")
	if err != nil {
		tb.Fatal(err)
	}
	settings := fmt.Sprintf("listen: %q\njetstream { store_dir: %q, sync_interval: always }\n", address, dir+"/store")
	if err := os.WriteFile(dir+"/conf", []byte(settings), 0o644); err != nil {
		tb.Fatal(err)
	}
	cmd := exec.Command(filepath.Join(filepath.Dir(BinPath.Etcd), "nats-server"), "--config", dir+"/conf")
	// A test that is cut off, as it takes too long, cleans nothing up.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = os.RemoveAll(dir)
	})
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if conn, err := net.Dial("tcp", address); err == nil {
			conn.Close()
			break
		}
		if time.Now().After(deadline) {
			tb.Fatal("nats-server does not get ready")
		}
	}
	// Clusters must not share a map: this one's is in all copies of its settings.
	cfg.EnvVars = maps.Clone(cfg.EnvVars)
	if cfg.EnvVars == nil {
		cfg.EnvVars = map[string]string{}
	}
	cfg.EnvVars["JINE_ENDPOINT"] = "nats://" + address
	cfg.EnvVars["JINE_NATS_SYNC_INTERVAL"] = "always"
}
