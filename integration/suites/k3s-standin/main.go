// Command k3s stands in for K3s where there is none: it takes the flags of "k3s server" as K3s
// takes them, keeps bootstrap data in the datastore as K3s does, and runs a kube-apiserver on it.
// It shows that scripts/k3s works and what it demands of the datastore; it is no Kubernetes
// distribution. KUBE_APISERVER names the program that it runs, and KUBECTL the one that "k3s
// kubectl" is.
package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "k3s stand-in:", err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	if len(arguments) == 0 {
		return fmt.Errorf("no command: server, kubectl or --version")
	}
	switch arguments[0] {
	case "--version":
		fmt.Println("k3s version stand-in")
		return nil
	case "kubectl":
		return become(os.Getenv("KUBECTL"), arguments[1:])
	case "server":
		options, err := parse(arguments[1:])
		if err != nil {
			return err
		}
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
		defer stop()
		return serve(ctx, options)
	}
	return fmt.Errorf("no command %q", arguments[0])
}

// become runs the program instead of this one.
func become(program string, arguments []string) error {
	path, err := exec.LookPath(program)
	if err != nil {
		return err
	}
	return syscall.Exec(path, append([]string{path}, arguments...), os.Environ())
}

// serve does what a K3s server does first: bootstrap data, then the API server.
func serve(ctx context.Context, options *Options) error {
	credentials, err := bootstrap(ctx, options)
	if err != nil {
		return fmt.Errorf("bootstrap: %w", err)
	}
	server, err := startAPIServer(options, credentials)
	if err != nil {
		return err
	}
	if err := server.awaitReady(ctx); err != nil {
		server.stop()
		return err
	}
	if err := writeKubeconfig(options, credentials); err != nil {
		server.stop()
		return err
	}
	fmt.Fprintln(os.Stderr, "k3s stand-in: the API server is ready")
	select {
	case <-ctx.Done():
		return server.stop()
	case err := <-server.ended:
		return fmt.Errorf("kube-apiserver ended by itself: %v", err)
	}
}
