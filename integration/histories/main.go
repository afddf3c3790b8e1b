// Command histories lets clients work on jine while its programs and connections fail, and checks what they were told: whether all of
// it can have happened in one order that agrees with time, and whether watchers and leases kept etcd's promises.
package main

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Options are the command line's.
type Options struct {
	tools, jine, dir string
	logLevel, only   string
	duration, pause  time.Duration
	longStop         time.Duration
	keep, verbose    bool
}

func main() {
	var o Options
	flag.StringVar(&o.tools, "tools", "", "directory with nats-server")
	flag.StringVar(&o.jine, "jine", "", "the jine binary")
	flag.StringVar(&o.dir, "dir", "", "directory for data, logs and failed histories")
	flag.StringVar(&o.logLevel, "log-level", "info", "jine's")
	flag.StringVar(&o.only, "only", "", "only faults with this in their name")
	flag.DurationVar(&o.duration, "duration", 25*time.Second, "how long faults go on in each history")
	flag.DurationVar(&o.longStop, "long-stop", suspended, "and then a SIGSTOP for so long")
	flag.DurationVar(&o.pause, "pause", 20*time.Millisecond, "of a client between two operations, on average")
	flag.BoolVar(&o.keep, "keep", false, "keep data and logs after a success, too")
	flag.BoolVar(&o.verbose, "verbose", true, "tell of each fault")
	names := flag.String("setups", strings.Join(setupNames, ","), "of these")
	rounds := flag.Int("rounds", 1, "histories of each setup")
	seed := flag.Uint64("seed", rand.Uint64()>>32, "of the first round")
	wrong := flag.String("until-caught", "", "the name of a build that is wrong: end at the first failure, and fail if there is none")
	flag.Parse()
	if o.dir == "" {
		o.dir = os.TempDir()
	}
	o.dir, _ = filepath.Abs(o.dir)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()

	passed, failed, started := 0, 0, time.Now()
	for round := range *rounds {
		var group sync.WaitGroup
		results := make(chan *Result)
		for _, name := range strings.Split(*names, ",") {
			group.Go(func() { results <- run(ctx, &o, name, *seed+uint64(round)) })
		}
		go func() {
			group.Wait()
			close(results)
		}()
		for result := range results {
			switch {
			case result.print(&o):
				passed++
			case result.broken && *wrong != "":
				// What never ran was not caught.
			default:
				failed++
			}
		}
		if ctx.Err() != nil || *wrong != "" && failed > 0 {
			break
		}
	}
	if *wrong != "" {
		passed, failed = tellCaught(*wrong, failed > 0, time.Since(started))
	}
	fmt.Printf("histories: %d passed, %d failed\n", passed, failed)
	if failed > 0 {
		os.Exit(1)
	}
}

// tellCaught counts a wrong build that was caught as a check that passed.
func tellCaught(name string, caught bool, after time.Duration) (passed, failed int) {
	if caught {
		fmt.Printf("%s: caught after %.0f s\n", name, after.Seconds())
		return 1, 0
	}
	fmt.Printf("%s: NOT caught in %.0f s\n", name, after.Seconds())
	return 0, 1
}

func run(ctx context.Context, o *Options, name string, seed uint64) *Result {
	result, err := runHistory(ctx, o, name, seed)
	if err != nil {
		return &Result{setup: name, seed: seed, problems: []string{err.Error()}, broken: true}
	}
	return result
}

func (r *Result) print(o *Options) bool {
	fmt.Printf("%s, seed %d: %d operations ok, %d failed, %d unknown; %d revisions, %d events, %d faults, %.0f s\n", r.setup, r.seed, r.ok, r.failed,
		r.unknown, r.revisions, r.events, r.faults, r.took.Seconds())
	for i, problem := range r.problems {
		if i == 12 {
			fmt.Printf("    and %d more\n", len(r.problems)-i)
			break
		}
		fmt.Printf("    PROBLEM: %s\n", problem)
	}
	if len(r.problems) > 0 {
		fmt.Printf("    the history, its picture and the logs are in %s\n", filepath.Join(o.dir, fmt.Sprintf("%s-%d", r.setup, r.seed)))
	}
	return len(r.problems) == 0
}
