package main

import (
	"fmt"
	"net"
	"sync"
)

// Link is a TCP proxy between two programs, which can be cut and stalled.
type Link struct {
	Name     string
	target   string
	listener net.Listener

	mu      sync.Mutex
	resumed *sync.Cond
	cut     bool
	stalled bool
	open    map[net.Conn]bool
}

// newLink listens on a port of its own for connections to a port of this machine.
func newLink(name string, target int) (*Link, error) {
	listener, err := listen()
	if err != nil {
		return nil, err
	}
	l := &Link{Name: name, target: fmt.Sprintf("127.0.0.1:%d", target), listener: listener, open: map[net.Conn]bool{}}
	l.resumed = sync.NewCond(&l.mu)
	go l.accept()
	return l, nil
}

func (l *Link) port() int { return portOf(l.listener) }

func (l *Link) accept() {
	for {
		from, err := l.listener.Accept()
		if err != nil {
			return
		}
		go l.connect(from)
	}
}

func (l *Link) connect(from net.Conn) {
	if !l.pass(from) {
		from.Close()
		return
	}
	to, err := net.Dial("tcp", l.target)
	if err != nil {
		l.close(from)
		return
	}
	if !l.pass(to) {
		to.Close()
		l.close(from)
		return
	}
	go l.copy(from, to)
	l.copy(to, from)
}

// pass waits while the link is stalled, and notes the connection; false if the link is cut.
func (l *Link) pass(conn net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.stalled && !l.cut {
		l.resumed.Wait()
	}
	if l.cut {
		return false
	}
	l.open[conn] = true
	return true
}

func (l *Link) copy(to, from net.Conn) {
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			if !l.pass(from) {
				break
			}
			if _, err := to.Write(buffer[:n]); err != nil {
				break
			}
		}
		if err != nil {
			break
		}
	}
	l.close(from)
	l.close(to)
}

func (l *Link) close(conn net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.open, conn)
	conn.Close()
}

// Break closes what is open; new connections are welcome.
func (l *Link) Break() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closeAll()
}

func (l *Link) closeAll() {
	for conn := range l.open {
		conn.Close()
	}
	clear(l.open)
	l.resumed.Broadcast()
}

// Cut closes what is open and refuses what comes, until Heal.
func (l *Link) Cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = true
	l.closeAll()
}

// Stall lets nothing through in either direction, as a network that drops packets, until Heal.
func (l *Link) Stall() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stalled = true
}

func (l *Link) Heal() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut, l.stalled = false, false
	l.resumed.Broadcast()
}

func (l *Link) Close() {
	l.listener.Close()
	l.Cut()
}
