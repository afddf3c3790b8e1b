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

// edits let the clients of a test's cluster reach the server in place of it, in framework/integration/cluster.go. The
// cluster's own members still start, for the tests that look at them; nobody speaks to them.
var edits = [][2]string{
	{"\tc := &Cluster{Cfg: cfg}\n\tms := make", "\tstartInPlace(t, cfg)\n\tc := &Cluster{Cfg: cfg}\n\tms := make"},
	{"m.GRPCURL = fmt.Sprintf(\"%s://%s\", m.clientScheme(), addr)\n", "m.GRPCURL = inPlaceURL(addr)\n"},
	{"newBridge(dialer{network: network, addr: grpcAddr},", "newBridge(inPlaceDialer(dialer{network: network, addr: grpcAddr}),"},
	{"\tc.WaitMembersMatch(t, c.ProtoMembers())\n\tc.waitVersion()\n\tfor _, m := range c.Members {\n\t\tt.Logf", "\tfor _, m := range c.Members {\n\t\tt.Logf"},
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
	if err := edit(filepath.Join(dir, "go.mod"), func(text []byte) ([]byte, error) {
		return regexp.MustCompile(`(?s)\nreplace \(.*?\n\)`).ReplaceAll(text, nil), nil
	}); err != nil {
		return err
	}
	framework := filepath.Join(dir, "framework/integration")
	if err := edit(filepath.Join(framework, "cluster.go"), editCluster); err != nil {
		return err
	}
	addition, err := os.ReadFile("testdata/inplace.go")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(framework, "inplace.go"), addition, 0o644)
}

func editCluster(text []byte) ([]byte, error) {
	for _, pair := range edits {
		if n := bytes.Count(text, []byte(pair[0])); n != 1 {
			return nil, fmt.Errorf("%d times in cluster.go: %s", n, strings.TrimSpace(pair[0]))
		}
		text = bytes.Replace(text, []byte(pair[0]), []byte(pair[1]), 1)
	}
	return text, nil
}

func edit(path string, change func([]byte) ([]byte, error)) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if text, err = change(text); err != nil {
		return err
	}
	if err := os.Chmod(path, 0o644); err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o644)
}
