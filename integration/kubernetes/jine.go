package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// jine runs with a nats-server of its own, or on an external one.
type jine struct {
	run     *Run
	port    int
	process *Process
	nats    *natsServer
	child   int
}

func (j *jine) Start() error {
	endpoint := "nats://"
	if j.nats != nil {
		if j.nats.process == nil {
			if err := j.nats.Start(); err != nil {
				return err
			}
		}
		endpoint = fmt.Sprintf("nats://127.0.0.1:%d?bucket=jine&replicas=1", j.nats.port)
	}
	var err error
	j.process, err = j.run.processes.Start("jine", j.run.jine,
		"--endpoint", endpoint, "--listen-address", "127.0.0.1:"+strconv.Itoa(j.port),
		"--data-dir", filepath.Join(j.run.dir, "jine"), "--nats-server", filepath.Join(j.run.tools, "nats-server"),
		"--metrics-bind-address", "0")
	return err
}

func (j *jine) Endpoint() string { return "http://127.0.0.1:" + strconv.Itoa(j.port) }
func (j *jine) Main() *Process   { return j.process }

func (j *jine) Faults() []Fault {
	faults := killAndStart("jine", j.Main, j.Start)
	for i := range faults {
		strike := faults[i].strike
		faults[i].strike = func() error {
			j.child = childOf(j.process.Pid(), "nats-server")
			return strike()
		}
	}
	if j.nats != nil {
		return append(faults, killAndStart("nats-server", func() *Process { return j.nats.process }, j.nats.Start)...)
	}
	// jine starts its own nats-server again by itself.
	for _, way := range []struct {
		name   string
		signal syscall.Signal
	}{{"kill -9", syscall.SIGKILL}, {"SIGTERM", syscall.SIGTERM}} {
		faults = append(faults, Fault{way.name + " of jine's nats-server", func() error {
			pid := childOf(j.process.Pid(), "nats-server")
			if pid == 0 {
				return errors.New("jine has no nats-server")
			}
			if err := syscall.Kill(pid, way.signal); err != nil {
				return err
			}
			return j.run.eventually(20*time.Second, func() error { return gone(pid) })
		}, func() error { return nil }})
	}
	return faults
}

// Lost finds a nats-server that outlived its jine.
func (j *jine) Lost() error {
	if j.child == 0 {
		return nil
	}
	return j.run.eventually(10*time.Second, func() error { return gone(j.child) })
}

// natsServer is an external nats-server, as one would run it for jine.
type natsServer struct {
	run     *Run
	port    int
	process *Process
}

func (n *natsServer) Start() error {
	dir := filepath.Join(n.run.dir, "nats")
	config := filepath.Join(n.run.dir, "nats.conf")
	text := fmt.Sprintf("listen: \"127.0.0.1:%d\"\nmax_payload: 8MB\njetstream {\n  store_dir: %q\n  sync_interval: always\n}\n",
		n.port, dir)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return err
	}
	var err error
	n.process, err = n.run.processes.Start("nats-server", filepath.Join(n.run.tools, "nats-server"), "-c", config)
	return err
}

// childOf finds the child with the given program name of a process, or 0.
func childOf(parent int, name string) int {
	entries, _ := os.ReadDir("/proc")
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		comm, state, ppid := procStat(pid)
		if ppid == parent && comm == name && state != "Z" {
			return pid
		}
	}
	return 0
}

// gone is nil once there is no such process, or only its remains.
func gone(pid int) error {
	comm, state, _ := procStat(pid)
	if comm == "" || state == "Z" {
		return nil
	}
	return fmt.Errorf("process %d (%s) is still there", pid, comm)
}

func procStat(pid int) (comm, state string, ppid int) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", "", 0
	}
	open, end := strings.IndexByte(string(text), '('), strings.LastIndexByte(string(text), ')')
	fields := strings.Fields(string(text[end+1:]))
	ppid, _ = strconv.Atoi(fields[1])
	return string(text[open+1 : end]), fields[0], ppid
}
