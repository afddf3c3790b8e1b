package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// Run is one run of a scenario: where its files are, what it started, what it found.
type Run struct {
	Options
	ctx       context.Context
	dir       string
	started   time.Time
	processes *Processes

	passed, failed, skipped int
}

// errAbort ends a scenario whose next steps make no sense.
var errAbort = errors.New("aborted")

// Say prints a line with the time since the start.
func (r *Run) Say(format string, args ...any) {
	fmt.Printf("%7.1fs  %s\n", time.Since(r.started).Seconds(), fmt.Sprintf(format, args...))
}

// Check runs one check, prints how it went and goes on.
func (r *Run) Check(name string, check func() error) bool {
	if r.ctx.Err() != nil {
		panic(errAbort)
	}
	start := time.Now()
	err := check()
	took := time.Since(start).Seconds()
	if err != nil {
		r.failed++
		r.Say("FAILED: %s (%.1fs): %v", name, took, err)
		return false
	}
	r.passed++
	r.Say("ok: %s (%.1fs)", name, took)
	return true
}

// Must is a check without which the rest can't go on.
func (r *Run) Must(name string, check func() error) {
	if !r.Check(name, check) {
		panic(errAbort)
	}
}

// Skip counts a check that can't be made here.
func (r *Run) Skip(name, why string) {
	r.skipped++
	fmt.Printf("skipped: %s: %s\n", name, why)
}

// part runs one of several clusters of a scenario with files and logs of its own.
func (r *Run) part(name string, scenario func()) {
	dir, logs := r.dir, r.processes.logs
	defer func() { r.dir, r.processes.logs = dir, logs }()
	r.dir = filepath.Join(dir, name)
	r.processes.logs = filepath.Join(r.dir, "logs")
	r.Must("its directory is made", func() error { return os.MkdirAll(r.processes.logs, 0o755) })
	scenario()
}

func (r *Run) guard(scenario func(*Run)) {
	defer func() {
		if e := recover(); e != nil {
			if e != errAbort {
				panic(e)
			}
			if r.failed == 0 {
				r.failed++
			}
		}
	}()
	scenario(r)
}

// eventually tries until the check succeeds, the limit is over or the run ends.
func (r *Run) eventually(limit time.Duration, check func() error) error {
	deadline := time.Now().Add(limit)
	for {
		err := check()
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("not within %s: %w", limit, err)
		}
		select {
		case <-r.ctx.Done():
			return r.ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
	}
}
