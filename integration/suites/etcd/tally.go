package main

import (
	"fmt"
	"regexp"
	"sort"
	"strings"
	"time"
)

type tally struct {
	passed, failed, skipped int
	names                   map[string][]string
}

func (t *tally) skip(name, why string) {
	t.skipped++
	if t.names == nil {
		t.names = map[string][]string{}
	}
	t.names[why] = append(t.names[why], name)
}

// reasons lists why tests were left out, and which.
func (t *tally) reasons() []string {
	var all []string
	for why, names := range t.names {
		all = append(all, fmt.Sprintf("%d tests: %s (%s)", len(names), why, strings.Join(names, ", ")))
	}
	sort.Strings(all)
	return all
}

var (
	verdict  = regexp.MustCompile(`(?m)^--- (PASS|FAIL|SKIP): `)
	asked    = regexp.MustCompile(`(?m)^in place: ([1-9]\d*) requests$`)
	below    = regexp.MustCompile(`(?m)^ +--- (PASS|FAIL|SKIP): `)
	askedNot = regexp.MustCompile(`(?m)^in place: 0 requests$`)
)

// judge counts a test. One that passes without asking anything of the server says nothing about it.
func (t *tally) judge(pkg, name, output string, took time.Duration) {
	found := verdict.FindStringSubmatch(output)
	switch {
	case found != nil && (found[1] == "SKIP" || found[1] == "PASS" && nothingButSkipped(output)):
		t.skip(name, "skips itself")
	case found != nil && found[1] == "PASS" && askedNot.MatchString(output) && !asked.MatchString(output):
		t.skip(name, "asks nothing of the server")
	case found != nil && found[1] == "PASS":
		t.passed++
		fmt.Printf("--- PASS: %s %s (%.1f s)\n", pkg, name, took.Seconds())
	default:
		t.failed++
		fmt.Printf("--- FAIL: %s %s (%.1f s)\n%s\n", pkg, name, took.Seconds(), excerpt(output))
	}
}

// nothingButSkipped says whether there were parts, and all of them were skipped.
func nothingButSkipped(output string) bool {
	parts := below.FindAllStringSubmatch(output, -1)
	skipped := 0
	for _, part := range parts {
		if part[1] == "SKIP" {
			skipped++
		}
	}
	return skipped > 0 && skipped == len(parts)
}

// excerpt leaves out what the cluster's own members and the clients log.
func excerpt(output string) string {
	var kept []string
	for _, line := range strings.Split(output, "\n") {
		if !strings.Contains(line, "logger.go:") && !strings.Contains(line, `"logger":"etcd-client"`) {
			kept = append(kept, "    "+line)
		}
	}
	if len(kept) > 60 {
		kept = kept[len(kept)-60:]
	}
	return strings.Join(kept, "\n")
}
