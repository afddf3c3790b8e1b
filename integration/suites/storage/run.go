package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
)

type outcome int

const (
	passed outcome = iota
	failed
	skipped
)

// Result says how often a test has ended how.
type Result [3]int

func (r Result) String() string {
	if r == (Result{}) {
		return "-"
	}
	var words []string
	for i, word := range []string{"ok", "FAIL", "skip"} {
		switch {
		case r[i] == 1:
			words = append(words, word)
		case r[i] > 1:
			words = append(words, fmt.Sprintf("%d %s", r[i], word))
		}
	}
	return strings.Join(words, ", ")
}

// Run is what one run of the tests has come to.
type Run struct {
	name    string
	results map[string]Result
	// output of each test or, under the name of the package, of what belongs to none.
	output map[string][]string
}

// event is a line of go test -json.
type event struct {
	Action, Package, Test, Output string
}

func readRun(name, file string) (*Run, error) {
	input, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer input.Close()
	run := &Run{name: name, results: map[string]Result{}, output: map[string][]string{}}
	lines := bufio.NewScanner(input)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		var e event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return nil, fmt.Errorf("%s: %w in %q", file, err, lines.Text())
		}
		run.add(e)
	}
	if len(run.results) == 0 {
		return nil, errors.Join(lines.Err(), fmt.Errorf("%s holds no test", file))
	}
	return run, lines.Err()
}

func (r *Run) add(e event) {
	name := e.Package
	if e.Test != "" {
		name += "." + e.Test
	}
	how, ended := map[string]outcome{"pass": passed, "fail": failed, "skip": skipped}[e.Action]
	switch {
	case e.Action == "output":
		r.output[name] = append(r.output[name], e.Output)
	// A package fails with its tests. Where none of them has failed it could not run.
	case ended && (e.Test != "" || how == failed && len(r.failedOf(e.Package)) == 0):
		result := r.results[name]
		result[how]++
		r.results[name] = result
	}
}

func (r *Run) failed() []string { return r.failedOf("") }

func (r *Run) failedOf(prefix string) []string {
	var found []string
	for name, result := range r.results {
		if result[failed] > 0 && strings.HasPrefix(name, prefix) {
			found = append(found, name)
		}
	}
	return found
}

func (r *Run) printFailures() {
	for _, name := range r.failed() {
		fmt.Printf("--- %s on %s\n%s", name, r.name, strings.Join(r.output[name], ""))
	}
}

// count is how many tests and subtests have that outcome. A test that ran more than once
// counts once, and as failed if it ever did.
func (r *Run) count(how outcome) int {
	n := 0
	for _, result := range r.results {
		if result[how] > 0 && (how == failed || result[failed] == 0) {
			n++
		}
	}
	return n
}

func (r *Run) counts() string {
	tests := 0
	for name := range r.results {
		if !isSubtest(name) {
			tests++
		}
	}
	return fmt.Sprintf("%d tests and %d subtests: %d passed, %d failed, %d skipped",
		tests, len(r.results)-tests, r.count(passed), r.count(failed), r.count(skipped))
}

// isSubtest: a test's name follows the last element of its package's path and a dot.
func isSubtest(name string) bool {
	_, test, found := strings.Cut(name, ".Test")
	return found && strings.Contains(test, "/")
}
