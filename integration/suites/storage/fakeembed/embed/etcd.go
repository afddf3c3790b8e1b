package embed

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"time"
)

const (
	// How long a server may take until its port is open.
	startLimit = 60 * time.Second
	// How long a server may take to end by itself after SIGTERM.
	stopLimit = 20 * time.Second
	// Names a directory in which the servers' output is kept, a file for each.
	logsVariable = "STORAGE_SERVER_LOGS"
)

// Etcd is a running server program.
type Etcd struct {
	Server *Server
	errors chan error
}

// Server is what the tests take an etcdserver.EtcdServer for.
type Server struct {
	urls    []string
	process *exec.Cmd
	log     string
	// ended is closed once the process is gone.
	ended chan struct{}
	// stopping is closed once the end of the process is wanted.
	stopping chan struct{}
	stop     sync.Once
}

// Cluster is the part of etcd's membership that the tests ask for.
type Cluster struct{ urls []string }

func (c Cluster) ClientURLs() []string { return c.urls }

func (s *Server) Cluster() Cluster { return Cluster{s.urls} }

// ReadyNotify is always ready: StartEtcd has waited for that.
func (s *Server) ReadyNotify() <-chan struct{} {
	ready := make(chan struct{})
	close(ready)
	return ready
}

// StartEtcd starts the program that the environment names, and waits until its port is open.
func StartEtcd(config *Config) (*Etcd, error) {
	words, err := config.command()
	if err != nil {
		return nil, err
	}
	server := &Server{log: config.log(), ended: make(chan struct{}), stopping: make(chan struct{})}
	for _, u := range config.AdvertiseClientUrls {
		server.urls = append(server.urls, u.String())
	}
	if err := server.start(words); err != nil {
		return nil, err
	}
	etcd := &Etcd{Server: server, errors: make(chan error, 1)}
	go etcd.wait()
	if err := server.awaitPort(config.ListenClientUrls[0].Host); err != nil {
		server.Stop()
		return nil, err
	}
	return etcd, nil
}

// log is named after the test, whose name is in the directory that the test got for itself.
func (c *Config) log() string {
	directory := os.Getenv(logsVariable)
	if directory == "" {
		directory = c.Dir
	}
	return filepath.Join(directory, filepath.Base(filepath.Dir(c.Dir))+".log")
}

func (s *Server) start(words []string) error {
	log, err := os.OpenFile(s.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	s.process = exec.Command(words[0], words[1:]...)
	s.process.Stdout, s.process.Stderr = log, log
	s.process.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	return start(s.process)
}

func (e *Etcd) Err() <-chan error { return e.errors }

// wait reports a process that ends by itself as etcd reports a failed server.
func (e *Etcd) wait() {
	err := e.Server.process.Wait()
	select {
	case <-e.Server.stopping:
	default:
		e.errors <- e.Server.failure(fmt.Sprintf("the server ended by itself (%v)", err))
	}
	close(e.errors)
	close(e.Server.ended)
}

func (s *Server) failure(what string) error {
	text, _ := os.ReadFile(s.log)
	return fmt.Errorf("%s:\n%s", what, text)
}

func (s *Server) awaitPort(address string) error {
	late := time.After(startLimit)
	for {
		if connection, err := net.DialTimeout("tcp", address, time.Second); err == nil {
			return connection.Close()
		}
		select {
		case <-s.ended:
			return s.failure("the server did not start")
		case <-late:
			return s.failure("the server has not opened its port within " + startLimit.String())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// Stop ends the process: by SIGTERM, and by SIGKILL where that doesn't help.
func (s *Server) Stop() {
	s.stop.Do(func() {
		close(s.stopping)
		_ = s.process.Process.Signal(syscall.SIGTERM)
		select {
		case <-s.ended:
		case <-time.After(stopLimit):
			fmt.Fprintln(os.Stderr, "the server did not end within", stopLimit, "of SIGTERM:", s.log)
			_ = syscall.Kill(-s.process.Process.Pid, syscall.SIGKILL)
		}
	})
	<-s.ended
}

func (e *Etcd) Close() { e.Server.Stop() }

var (
	starting = make(chan func())
	once     sync.Once
)

// start starts the process from a thread that lives as long as this process does: the kernel
// kills the server when the thread that started it ends.
func start(process *exec.Cmd) error {
	once.Do(func() {
		go func() {
			runtime.LockOSThread()
			for f := range starting {
				f()
			}
		}()
	})
	done := make(chan error)
	starting <- func() { done <- process.Start() }
	return <-done
}
