package integration

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/testutil"
	"go.etcd.io/etcd/client/pkg/v3/transport"
)

// The address of the server that stands in for the newest cluster. Clusters do not overlap: a process runs one test.
var inPlace atomic.Value

// startInPlace starts what IN_PLACE says, with the cluster's settings, for as long as the test lasts.
func startInPlace(t testutil.TB, cfg *ClusterConfig) {
	command := strings.Fields(os.Getenv("IN_PLACE"))
	dir, err := os.MkdirTemp("", "in-place")
	if err != nil {
		t.Fatal(err)
	}
	output, err := os.Create(dir + "/output")
	if err != nil {
		t.Fatal(err)
	}
	address := freeAddress(t)
	args := append(command[1:], "--data-dir="+dir, "--listen-address="+address)
	cmd := exec.Command(command[0], append(args, settings(cfg)...)...)
	cmd.Stdout, cmd.Stderr = output, output
	// A test that is cut off, or ends its process, cleans nothing up.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	scheme := "http"
	if cfg.ClientTLS != nil {
		scheme = "https"
	}
	t.Cleanup(func() {
		if scheme == "http" {
			fmt.Printf("in place: %d requests\n", requests(address))
		}
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
		if text, err := os.ReadFile(output.Name()); err == nil && t.Failed() {
			t.Logf("the server's output: %s", text)
		}
		_ = os.RemoveAll(dir)
	})
	for deadline := time.Now().Add(30 * time.Second); !ready(scheme, address); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the server in place of etcd does not get ready")
		}
	}
	inPlace.Store(scheme + "://" + address)
}

func settings(cfg *ClusterConfig) []string {
	var flags []string
	add := func(name string, value any, isSet bool) {
		if isSet {
			flags = append(flags, fmt.Sprintf("--%s=%v", name, value))
		}
	}
	add("max-txn-ops", cfg.MaxTxnOps, cfg.MaxTxnOps != 0)
	add("max-request-bytes", cfg.MaxRequestBytes, cfg.MaxRequestBytes != 0)
	add("quota-backend-bytes", cfg.QuotaBackendBytes, cfg.QuotaBackendBytes != 0)
	add("watch-progress-notify-interval", cfg.WatchProgressNotifyInterval, cfg.WatchProgressNotifyInterval != 0)
	if tls := cfg.ClientTLS; tls != nil {
		if tls.TrustedCAFile == "" {
			// Made for this test: clients take any certificate, and jine takes no key of the curve P-521.
			tls = &transport.TLSInfo{CertFile: TestTLSInfo.CertFile, KeyFile: TestTLSInfo.KeyFile}
		}
		add("server-cert-file", tls.CertFile, true)
		add("server-key-file", tls.KeyFile, true)
		add("trusted-ca-file", tls.TrustedCAFile, tls.TrustedCAFile != "")
		add("client-cert-auth", true, tls.ClientCertAuth)
	}
	return flags
}

func freeAddress(t testutil.TB) string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

func ready(scheme, address string) bool {
	if scheme == "https" {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			conn.Close()
		}
		return err == nil
	}
	_, err := fetch(address, "/health")
	return err == nil
}

// requests counts the calls that the server has answered or begun to.
func requests(address string) int {
	text, err := fetch(address, "/metrics")
	if err != nil {
		return 0
	}
	sum := 0
	for _, found := range regexp.MustCompile(`(?m)^grpc_server_started_total\{.* (\d+)$`).FindAllStringSubmatch(text, -1) {
		n, _ := strconv.Atoi(found[1])
		sum += n
	}
	return sum
}

// fetch leaves no connection behind: the tests look for goroutines that do.
func fetch(address, path string) (string, error) {
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Get("http://" + address + path)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", path, answer.Status)
	}
	return string(text), err
}

func inPlaceURL(string) string { return inPlace.Load().(string) }

// inPlaceDialer lets a bridge, which cuts connections, lead to the server.
func inPlaceDialer(dialer) dialer {
	_, address, _ := strings.Cut(inPlaceURL(""), "://")
	return dialer{network: "tcp", addr: address}
}
