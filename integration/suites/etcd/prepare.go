package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

const module = "go.etcd.io/etcd/tests/v3"

// An edit of a file of the tests' framework.
type edit struct{ file, old, new string }

// edits let the clients of a test's cluster reach the server in place of it.
//
// In framework/integration the cluster's own members still start, for the tests that look at them; nobody speaks to them.
// In framework/e2e a member is a process, and what is in place of it starts instead.
var edits = []edit{
	{"integration/cluster.go", "\tc := &Cluster{Cfg: cfg}\n\tms := make", "\tstartInPlace(t, cfg)\n\tc := &Cluster{Cfg: cfg}\n\tms := make"},
	{"integration/cluster.go", "m.GRPCURL = fmt.Sprintf(\"%s://%s\", m.clientScheme(), addr)\n", "m.GRPCURL = inPlaceURL(addr)\n"},
	{"integration/cluster.go", "newBridge(dialer{network: network, addr: grpcAddr},", "newBridge(inPlaceDialer(dialer{network: network, addr: grpcAddr}),"},
	{
		"integration/cluster.go",
		"\tc.WaitMembersMatch(t, c.ProtoMembers())\n\tc.waitVersion()\n\tfor _, m := range c.Members {\n\t\tt.Logf",
		"\tfor _, m := range c.Members {\n\t\tt.Logf",
	},
	{"e2e/etcd_process.go", `"ready to serve client requests"`, `"serving etcd clients"`},
	{"e2e/cluster.go", "\tetcdCfgs := cfg.EtcdAllServerProcessConfigs(tb)\n", "\tshareNATS(tb, cfg)\n\tetcdCfgs := cfg.EtcdAllServerProcessConfigs(tb)\n"},
}

// additions are files of testdata, by where they go in the tests' module.
var additions = map[string]string{
	"inplace.go": "framework/integration/inplace.go",
	"shared.go":  "framework/e2e/shared.go",
	"etcd.go":    "etcd/main.go",
}

// prepare copies the module's tests, as the module proxy has them, to dir and edits the copy.
func prepare(dir, version string) error {
	download := exec.Command("go", "mod", "download", "-json", module+"@"+version)
	download.Stderr = os.Stderr
	text, err := download.Output()
	if err != nil {
		return fmt.Errorf("go mod download %s@%s: %w", module, version, err)
	}
	var downloaded struct{ Dir string }
	if err := json.Unmarshal(text, &downloaded); err != nil {
		return err
	}
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	if err := os.CopyFS(dir, os.DirFS(downloaded.Dir)); err != nil {
		return err
	}
	// The caching client is a module that the proxy does not serve.
	if err := os.Remove(filepath.Join(dir, "integration/cache_test.go")); err != nil {
		return err
	}
	if err := change(filepath.Join(dir, "go.mod"), func(text []byte) ([]byte, error) {
		return regexp.MustCompile(`(?s)\nreplace \(.*?\n\)`).ReplaceAll(text, nil), nil
	}); err != nil {
		return err
	}
	for _, edit := range edits {
		if err := change(filepath.Join(dir, "framework", edit.file), edit.apply); err != nil {
			return err
		}
	}
	for name, place := range additions {
		if err := add(filepath.Join("testdata", name), filepath.Join(dir, place)); err != nil {
			return err
		}
	}
	return build(dir, filepath.Join(dir, "../bin/etcd"), "build", "./etcd")
}

func (e edit) apply(text []byte) ([]byte, error) {
	if n := bytes.Count(text, []byte(e.old)); n != 1 {
		return nil, fmt.Errorf("%d times in %s: %s", n, e.file, strings.TrimSpace(e.old))
	}
	return bytes.Replace(text, []byte(e.old), []byte(e.new), 1), nil
}

func add(from, to string) error {
	text, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	return os.WriteFile(to, text, 0o644)
}

// build runs go's command in the tests' module.
func build(dir, output, command string, args ...string) error {
	cmd := exec.Command("go", append([]string{command, "-mod=mod", "-trimpath", "-o", output}, args...)...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, os.Stderr, os.Stderr
	return cmd.Run()
}

func change(path string, by func([]byte) ([]byte, error)) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if text, err = by(text); err != nil {
		return err
	}
	if err := os.Chmod(path, 0o644); err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o644)
}
