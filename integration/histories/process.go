package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// spawn runs functions on one thread that lives as long as this program: the kernel kills what a thread has started when it ends.
var spawn = sync.OnceValue(func() chan func() {
	calls := make(chan func())
	go func() {
		runtime.LockOSThread()
		for call := range calls {
			call()
		}
	}()
	return calls
})

// Process is a program that is started again and again.
type Process struct {
	Name    string
	log     string
	program string
	args    []string

	mu   sync.Mutex
	cmd  *exec.Cmd
	done chan struct{}
	// wanted: it is not to end by itself.
	wanted bool
}

func newProcess(dir, name, program string, args ...string) *Process {
	return &Process{Name: name, log: filepath.Join(dir, name+".log"), program: program, args: args}
}

func (p *Process) Start() error {
	out, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer out.Close()
	cmd := exec.Command(p.program, p.args...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	started := make(chan error)
	spawn() <- func() { started <- cmd.Start() }
	if err := <-started; err != nil {
		return fmt.Errorf("%s: %w", p.Name, err)
	}
	done := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(done)
	}()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cmd, p.done, p.wanted = cmd, done, true
	return nil
}

func (p *Process) Pid() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cmd.Process.Pid
}

// Signal tells what to expect of the process: not to run on after SIGKILL and SIGTERM.
func (p *Process) Signal(signal syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if signal == syscall.SIGKILL || signal == syscall.SIGTERM {
		p.wanted = false
	}
	_ = p.cmd.Process.Signal(signal)
}

// Stop ends it, and waits for its end.
func (p *Process) Stop(signal syscall.Signal) {
	p.mu.Lock()
	done := p.done
	p.mu.Unlock()
	if done == nil {
		return
	}
	p.Signal(signal)
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		p.Signal(syscall.SIGKILL)
		<-done
	}
}

// Ended is an error if the process has ended and should not have.
func (p *Process) Ended() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.done:
		if p.wanted {
			return fmt.Errorf("%s has ended by itself: %s: %s", p.Name, p.cmd.ProcessState, tail(p.log))
		}
	default:
	}
	return nil
}

func tail(path string) string {
	text, _ := os.ReadFile(path)
	if len(text) > 1500 {
		text = text[len(text)-1500:]
	}
	return string(text)
}

// childOf finds the child with the given program name, or 0.
func childOf(parent int, name string) int {
	entries, _ := os.ReadDir("/proc")
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			continue
		}
		open, end := strings.IndexByte(string(text), '('), strings.LastIndexByte(string(text), ')')
		fields := strings.Fields(string(text[end+1:]))
		if fields[1] == strconv.Itoa(parent) && string(text[open+1:end]) == name && fields[0] != "Z" {
			return pid
		}
	}
	return 0
}

var (
	portsMu   sync.Mutex
	portsUsed = map[int]bool{}
)

// listen takes a port below those that the system gives to outgoing connections, so that a server can come back to it.
func listen() (net.Listener, error) {
	low, high := 10000, 32768
	if text, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range"); err == nil {
		var first, last int
		if _, err := fmt.Sscan(string(text), &first, &last); err == nil && first > low+1000 {
			high = first
		}
	}
	portsMu.Lock()
	defer portsMu.Unlock()
	for range 2000 {
		port := low + rand.IntN(high-low)
		if portsUsed[port] {
			continue
		}
		if listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			portsUsed[port] = true
			return listener, nil
		}
	}
	return nil, errors.New("no free port")
}

// freePort is for a server that takes it itself.
func freePort() (int, error) {
	listener, err := listen()
	if err != nil {
		return 0, err
	}
	defer listener.Close()
	return portOf(listener), nil
}

func portOf(listener net.Listener) int { return listener.Addr().(*net.TCPAddr).Port }

func freePorts(n int) ([]int, error) {
	ports := make([]int, n)
	for i := range ports {
		port, err := freePort()
		if err != nil {
			return nil, err
		}
		ports[i] = port
	}
	return ports, nil
}
