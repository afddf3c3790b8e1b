// Runs etcd's own integration tests, as they are, with another server in place of the cluster that each of them starts.
//
//	etcd -version v3.7.3 -dir DIR [-run REGEXP] [package…]
//
// The environment variable IN_PLACE is the server's command. Every test is a process of its own. What cannot pass, and
// why, is in apart.go; nothing else is left out.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// patience is what a test may take on a busy machine.
const patience = 3 * time.Minute

var packages = []string{
	"integration/clientv3",
	"integration/clientv3/concurrency",
	"integration/clientv3/experimental/recipes",
	"integration/clientv3/lease",
	"integration/clientv3/naming",
	"integration/clientv3/watch",
	"integration",
}

func main() {
	version := flag.String("version", "v3.7.3", "of the tests")
	dir := flag.String("dir", "", "for the tests' copy and their output")
	only := flag.String("run", "", "a regular expression: only the tests whose names it matches")
	flag.Parse()
	if flag.NArg() > 0 {
		packages = flag.Args()
	}
	chosen, err := regexp.Compile(*only)
	if err == nil {
		err = run(*dir, *version, chosen)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "etcd-tests:", err)
		os.Exit(1)
	}
}

func run(dir, version string, chosen *regexp.Regexp) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	copied := filepath.Join(dir, "tests")
	if err := prepare(copied, version); err != nil {
		return err
	}
	var total tally
	for _, pkg := range packages {
		binary := filepath.Join(dir, strings.ReplaceAll(pkg, "/", "_")+".test")
		build := exec.Command("go", "test", "-mod=mod", "-trimpath", "-vet=off", "-c", "-o", binary, "./"+pkg)
		build.Dir, build.Stdout, build.Stderr = copied, os.Stderr, os.Stderr
		if err := build.Run(); err != nil {
			return fmt.Errorf("building %s: %w", pkg, err)
		}
		if err := runPackage(binary, filepath.Join(copied, pkg), pkg, chosen, &total); err != nil {
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

func runPackage(binary, dir, pkg string, chosen *regexp.Regexp, total *tally) error {
	list := exec.Command(binary, "-test.list", "^Test")
	list.Dir = dir
	names, err := list.Output()
	if err != nil {
		return fmt.Errorf("listing the tests of %s: %w", pkg, err)
	}
	for _, name := range strings.Fields(string(names)) {
		if !chosen.MatchString(name) {
			continue
		}
		if why := apart(name); why != "" {
			total.skip(name, why)
			continue
		}
		output, took := runTest(binary, dir, name)
		total.judge(pkg, name, output, took)
	}
	return nil
}

func runTest(binary, dir, name string) (string, time.Duration) {
	test := exec.Command(binary, "-test.v", "-test.run", "^"+name+"$", "-test.timeout", patience.String())
	test.Dir = dir
	// The members' address names are relative to it, and the longest path of a unix socket is short.
	test.Env = append(os.Environ(), "GOTRACEBACK=single")
	began := time.Now()
	output, _ := test.CombinedOutput()
	return string(output), time.Since(began)
}
