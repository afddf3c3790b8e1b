package main

import (
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strconv"
	"time"
)

// Datastore is what the API server keeps its objects in. It can be started again on the same
// directory and port.
type Datastore interface {
	Start() error
	Endpoint() string
	// Main is the process that serves the endpoint.
	Main() *Process
	// Faults are the ways to take it down that its kind has.
	Faults() []Fault
	// Lost says what was left behind by a process that is gone, such as a child of its own.
	Lost() error
}

// Fault takes a process down and brings back what doesn't come back by itself.
type Fault struct {
	name   string
	strike func() error
	mend   func() error
}

func (r *Run) newDatastore(external bool) (Datastore, error) {
	ports, err := freePorts(3)
	if err != nil {
		return nil, err
	}
	switch {
	case r.datastore == "etcd":
		return &etcd{run: r, port: ports[0], peerPort: ports[1]}, nil
	case r.datastore == "jine":
		j := &jine{run: r, port: ports[0]}
		if external {
			j.nats = &natsServer{run: r, port: ports[1]}
		}
		return j, nil
	}
	return nil, fmt.Errorf("no datastore %q: jine or etcd", r.datastore)
}

// startDatastore starts it and waits until it is ready.
func (r *Run) startDatastore(d Datastore) error {
	if err := d.Start(); err != nil {
		return err
	}
	return r.awaitDatastore(d)
}

func (r *Run) awaitDatastore(d Datastore) error {
	return r.eventually(60*time.Second, func() error {
		if main := d.Main(); !main.Running() {
			return fmt.Errorf("%s ended: %s", main.name, main.Tail())
		}
		return httpOK(d.Endpoint() + "/readyz")
	})
}

var plainHTTP = &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

func httpOK(url string) error {
	resp, err := plainHTTP.Get(url)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 300))
		return fmt.Errorf("%s: %s: %s", url, resp.Status, text)
	}
	return nil
}

// killAndStart are the two faults of a server without children: kill -9 and SIGTERM.
func killAndStart(name string, process func() *Process, start func() error) []Fault {
	return []Fault{
		{"kill -9 of " + name, func() error { process().Kill(); return nil }, start},
		{"SIGTERM of " + name, func() error { return process().Stop(30 * time.Second) }, start},
	}
}

// etcd is the real one: what it passes, jine has to pass.
type etcd struct {
	run            *Run
	port, peerPort int
	process        *Process
}

func (e *etcd) Start() error {
	peer := "http://127.0.0.1:" + strconv.Itoa(e.peerPort)
	var err error
	e.process, err = e.run.processes.Start("etcd", filepath.Join(e.run.tools, "etcd"),
		"--name=default", "--data-dir="+filepath.Join(e.run.dir, "etcd"),
		"--listen-client-urls="+e.Endpoint(), "--advertise-client-urls="+e.Endpoint(),
		"--listen-peer-urls="+peer, "--initial-advertise-peer-urls="+peer, "--initial-cluster=default="+peer,
		"--log-level=warn")
	return err
}

func (e *etcd) Endpoint() string { return "http://127.0.0.1:" + strconv.Itoa(e.port) }
func (e *etcd) Main() *Process   { return e.process }
func (e *etcd) Lost() error      { return nil }
func (e *etcd) Faults() []Fault {
	return killAndStart("etcd", e.Main, e.Start)
}
