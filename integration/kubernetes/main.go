// Command kubernetes runs a real control plane on an etcd endpoint, jine's or etcd's, puts it to
// work on simulated nodes and checks that nothing is lost: neither while all is well, nor when
// the processes below it are killed.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/klog/v2"
)

// Options are the command line, for all scenarios.
type Options struct {
	datastore string
	tools     string
	jine      string
	dir       string
	keep      bool
	rounds    int
	external  bool
	embedded  bool
}

func main() {
	var o Options
	smoke := flag.Bool("smoke", false, "one node, three pods and one kill -9 of the datastore")
	faults := flag.Bool("faults", false, "kill and end the datastore's processes under load")
	flag.StringVar(&o.datastore, "datastore", "jine", "jine, or etcd for comparison")
	flag.StringVar(&o.tools, "tools", "", "directory with the Kubernetes programs, kwok, etcd, nats-server")
	flag.StringVar(&o.jine, "jine", "", "the jine binary")
	flag.StringVar(&o.dir, "dir", "", "directory under which the run keeps its data and logs")
	flag.BoolVar(&o.keep, "keep", false, "keep data and logs after a success, too")
	flag.IntVar(&o.rounds, "rounds", 3, "with --faults: how often each process is killed")
	only := flag.String("nats", "both", "with --faults: embedded, external or both")
	external := flag.Bool("external", false, "without --faults: run jine on an external nats-server")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintln(os.Stderr, "unknown argument:", flag.Arg(0))
		os.Exit(2)
	}
	o.external = *external || *only != "embedded"
	o.embedded = *only != "external"
	if !*faults {
		o.external = *external
	}

	// What the client libraries say about retries would only hide the report.
	klog.SetLogger(logr.Discard())

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	name, scenario := "kubernetes", runFull
	switch {
	case *smoke:
		name, scenario = "kubernetes-smoke", runSmoke
	case *faults:
		name, scenario = "kubernetes-faults", runFaults
	}
	os.Exit(run(ctx, name, o, scenario))
}

func run(ctx context.Context, name string, o Options, scenario func(*Run)) int {
	dir, err := makeDir(o.dir, name)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	r := &Run{Options: o, ctx: ctx, dir: dir, started: time.Now(), processes: newProcesses(filepath.Join(dir, "logs"))}
	r.Say("datastore %s, files in %s", o.datastore, dir)
	r.guard(scenario)
	r.processes.StopAll()
	if r.failed > 0 {
		r.Say("data and logs are in %s", dir)
	} else if !o.keep {
		_ = os.RemoveAll(dir)
	}
	fmt.Printf("%s: %d passed, %d failed, %d skipped\n", name, r.passed, r.failed, r.skipped)
	if r.failed > 0 {
		return 1
	}
	return 0
}

func makeDir(parent, name string) (string, error) {
	if parent == "" {
		parent = os.TempDir()
	}
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return "", err
	}
	parent, err := filepath.Abs(parent)
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp(parent, name+"-")
	if err != nil {
		return "", err
	}
	return dir, os.Mkdir(filepath.Join(dir, "logs"), 0o755)
}
