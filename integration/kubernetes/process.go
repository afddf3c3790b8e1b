package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"time"
)

// Processes are those that the run has started. None of them outlives it: the kernel kills
// them when the thread that started them ends.
type Processes struct {
	logs  string
	spawn chan func()
	mu    sync.Mutex
	all   []*Process
	// stopping are told before all is stopped, so that nothing is started again.
	stopping []func()
}

// Process is a started program, leader of its own process group.
type Process struct {
	name string
	log  string
	cmd  *exec.Cmd
	done chan struct{}
}

func newProcesses(logs string) *Processes {
	p := &Processes{logs: logs, spawn: make(chan func())}
	go func() {
		// The parent-death signal belongs to the thread, so one thread starts them all.
		runtime.LockOSThread()
		for f := range p.spawn {
			f()
		}
	}()
	return p
}

// Start runs a program whose output is added to logs/NAME.log.
func (p *Processes) Start(name, program string, args ...string) (*Process, error) {
	log := filepath.Join(p.logs, name+".log")
	out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	cmd := exec.Command(program, args...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	started := make(chan error)
	p.spawn <- func() { started <- cmd.Start() }
	if err := <-started; err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	process := &Process{name: name, log: log, cmd: cmd, done: make(chan struct{})}
	go func() {
		_ = cmd.Wait()
		close(process.done)
	}()
	p.mu.Lock()
	p.all = append(p.all, process)
	p.mu.Unlock()
	return process, nil
}

// StopAll ends what still runs, the last started first.
func (p *Processes) StopAll() {
	p.mu.Lock()
	all := slices.Clone(p.all)
	p.mu.Unlock()
	slices.Reverse(all)
	for _, tell := range p.stopping {
		tell()
	}
	for _, process := range all {
		_ = process.Stop(10 * time.Second)
	}
}

func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Running says whether the process has not ended yet.
func (p *Process) Running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// Kill ends it at once with SIGKILL and waits for its end.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

// ExitedWell is nil if the process ended by itself with 0.
func (p *Process) ExitedWell() error {
	<-p.done
	if state := p.cmd.ProcessState; !state.Success() {
		return fmt.Errorf("%s: %s: %s", p.name, state, p.Tail())
	}
	return nil
}

// Stop asks the process to end, and kills its group if it doesn't within the limit.
func (p *Process) Stop(limit time.Duration) error {
	if !p.Running() {
		return nil
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
		return nil
	case <-time.After(limit):
		_ = syscall.Kill(-p.Pid(), syscall.SIGKILL)
		<-p.done
		return fmt.Errorf("%s did not end within %s of SIGTERM", p.name, limit)
	}
}

// Tail is the end of the process's log, to be shown with an error.
func (p *Process) Tail() string {
	text, _ := os.ReadFile(p.log)
	if len(text) > 1500 {
		text = text[len(text)-1500:]
	}
	return string(text)
}
