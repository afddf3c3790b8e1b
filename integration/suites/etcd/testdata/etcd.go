// Stands where the tests look for bin/etcd: takes etcd's flags, and becomes jine, which is beside it.
//
// The other flags are those of a cluster's members, of etcd's files and of its checks of them, and are passed over.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"go.etcd.io/etcd/api/v3/version"
)

// names says what jine calls a flag that both have.
var names = map[string]string{
	"advertise-client-urls":          "advertise-client-urls",
	"auto-compaction-mode":           "auto-compaction-mode",
	"auto-compaction-retention":      "auto-compaction-retention",
	"cert-file":                      "server-cert-file",
	"client-cert-auth":               "client-cert-auth",
	"data-dir":                       "data-dir",
	"key-file":                       "server-key-file",
	"listen-client-urls":             "listen-client-urls",
	"listen-metrics-urls":            "metrics-bind-address",
	"max-concurrent-streams":         "max-concurrent-streams",
	"max-request-bytes":              "max-request-bytes",
	"max-txn-ops":                    "max-txn-ops",
	"name":                           "name",
	"quota-backend-bytes":            "quota-backend-bytes",
	"trusted-ca-file":                "trusted-ca-file",
	"watch-progress-notify-interval": "watch-progress-notify-interval",
}

// missing are those of a server for clients that jine does not have: a test that gives one must not run without it.
var missing = []string{"cipher-suites", "client-crl-file", "config-file", "listen-client-http-urls", "tls-max-version", "tls-min-version"}

func main() {
	if err := become(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "in place of etcd:", err)
		os.Exit(2)
	}
}

func become(args []string) error {
	if slices.Contains(args, "--version") {
		fmt.Println("etcd Version:", version.Version)
		return nil
	}
	program, err := os.Executable()
	if err != nil {
		return err
	}
	beside := filepath.Dir(program)
	flags, err := translate(args, filepath.Join(beside, "../tests/fixtures"))
	if err != nil {
		return err
	}
	jine := filepath.Join(beside, "jine")
	flags = append([]string{jine, "--nats-server=" + filepath.Join(beside, "nats-server")}, flags...)
	return syscall.Exec(jine, flags, os.Environ())
}

func translate(args []string, fixtures string) ([]string, error) {
	given := parse(args)
	var flags []string
	for name, value := range given {
		if slices.Contains(missing, name) {
			return nil, fmt.Errorf("jine has no --%s", name)
		}
		if name == "listen-metrics-urls" {
			_, value, _ = strings.Cut(value, "://")
		}
		if known, ok := names[name]; ok {
			flags = append(flags, "--"+known+"="+value)
		}
	}
	if _, ok := given["listen-metrics-urls"]; !ok {
		flags = append(flags, "--metrics-bind-address=0")
	}
	if _, ok := given["auto-tls"]; ok {
		// Clients take any certificate then, and jine makes none.
		flags = append(flags, "--server-cert-file="+filepath.Join(fixtures, "server.crt"),
			"--server-key-file="+filepath.Join(fixtures, "server.key.insecure"))
	}
	return flags, nil
}

// parse takes --name=value, --name value and --name, which is true.
func parse(args []string) map[string]string {
	given := map[string]string{}
	for i, arg := range args {
		if !strings.HasPrefix(arg, "-") {
			continue
		}
		name, value, ok := strings.Cut(strings.TrimLeft(arg, "-"), "=")
		switch {
		case ok:
		case i+1 < len(args) && !strings.HasPrefix(args[i+1], "-"):
			value = args[i+1]
		default:
			value = "true"
		}
		given[name] = value
	}
	return given
}
