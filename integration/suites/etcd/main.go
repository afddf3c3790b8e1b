// Runs etcd's own tests, as they are, with another server in place of the clusters that they start.
//
//	etcd -version v3.7.3 -dir DIR [-run REGEXP] [package…]
//
// The tests of integration/… and common start clusters inside of their process; the server in place of them is started as
// the environment variable IN_PLACE says. Those of e2e, and of common once more, start programs, which are looked for in
// DIR/bin: jine, nats-server, etcdctl and etcdutl. Every test is a process of its own. What cannot pass, and why, is in
// apart.go; nothing else is left out.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// patience is what a test may take on a busy machine.
const patience = 3 * time.Minute

// A suite is a package of tests, and the build tag that says what clusters they start.
type suite struct{ pkg, tag string }

func (s suite) String() string { return strings.TrimSuffix(s.pkg+" "+s.tag, " ") }

var suites = []suite{
	{pkg: "integration/clientv3"},
	{pkg: "integration/clientv3/concurrency"},
	{pkg: "integration/clientv3/connectivity"},
	{pkg: "integration/clientv3/examples"},
	{pkg: "integration/clientv3/experimental/recipes"},
	{pkg: "integration/clientv3/lease"},
	{pkg: "integration/clientv3/naming"},
	{pkg: "integration/clientv3/watch"},
	{pkg: "integration/proxy/grpcproxy"},
	{pkg: "integration"},
	{pkg: "common", tag: "integration"},
	{pkg: "common", tag: "e2e"},
	{pkg: "e2e"},
}

func main() {
	version := flag.String("version", "v3.7.3", "of the tests")
	dir := flag.String("dir", "", "for the tests' copy and their output")
	only := flag.String("run", "", "a regular expression: only the tests whose names it matches")
	flag.Parse()
	chosen, err := regexp.Compile(*only)
	if err == nil {
		err = run(*dir, *version, chosen, flag.Args())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "etcd-tests:", err)
		os.Exit(1)
	}
}

func run(dir, version string, chosen *regexp.Regexp, packages []string) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	copied := filepath.Join(dir, "tests")
	if err := prepare(copied, version); err != nil {
		return err
	}
	var total tally
	for _, suite := range suites {
		if len(packages) > 0 && !slices.Contains(packages, suite.pkg) {
			continue
		}
		binary := filepath.Join(dir, strings.ReplaceAll(suite.pkg, "/", "_")+suite.tag+".test")
		if err := build(copied, binary, "test", "-vet=off", "-c", "-tags", suite.tag, "./"+suite.pkg); err != nil {
			return fmt.Errorf("building %s: %w", suite, err)
		}
		if err := suite.run(binary, filepath.Join(copied, suite.pkg), chosen, &total); err != nil {
			return err
		}
	}
	for _, reason := range total.reasons() {
		fmt.Printf("skipped: %s\n", reason)
	}
	fmt.Printf("etcd-tests: %d passed, %d failed, %d skipped\n", total.passed, total.failed, total.skipped)
	if total.failed > 0 || total.passed == 0 {
		return fmt.Errorf("%d of etcd's tests failed", total.failed)
	}
	return nil
}

func (s suite) run(binary, dir string, chosen *regexp.Regexp, total *tally) error {
	list := exec.Command(binary, "-test.list", "^(Test|Example)")
	list.Dir = dir
	names, err := list.Output()
	if err != nil {
		return fmt.Errorf("listing the tests of %s: %w", s, err)
	}
	for _, name := range strings.Fields(string(names)) {
		if !chosen.MatchString(name) {
			continue
		}
		if why := apart(s, name); why != "" {
			total.skip(name, why)
			continue
		}
		test := exec.Command(binary, "-test.v", "-test.run", "^"+name+"$", "-test.timeout", patience.String())
		if below, why := partly(s, name); below != "" {
			test.Args = append(test.Args, "-test.skip", "^"+name+"$/"+below)
			total.skip(name+"/"+below+"…", why)
		}
		// The members' address names are relative to it, and the longest path of a unix socket is short.
		test.Dir = dir
		output, took := watch(test)
		total.judge(s.String(), name, output, took)
	}
	return nil
}

func watch(test *exec.Cmd) (string, time.Duration) {
	// Where Go builds is not where tests have their files.
	test.Env = append(os.Environ(), "GOTRACEBACK=single", "GOTMPDIR=")
	began := time.Now()
	output, _ := test.CombinedOutput()
	return string(output), time.Since(began)
}
