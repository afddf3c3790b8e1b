package main

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"syscall"
	"time"
)

// Fault is struck, lasts, and is mended.
type Fault struct {
	name string
	// strike may give the name of what it hit.
	strike func() (hit string, err error)
	mend   func() error
	// longest it may last.
	longest time.Duration
}

// suspended is the longest that a process is stopped for.
const suspended = 20 * time.Second

func nothing() error { return nil }

// faults are all that can befall a setup: those of jine, and those of nats-servers, which may come at the same time.
func (s *Setup) faults() [2][]Fault {
	return [2][]Fault{s.ofJine(), s.ofNats()}
}

// longStop is the one that comes last: what all depends on stands still, for as long as a process may be suspended, while keepalives
// wait. One time it is this process, another time that.
func (s *Setup) longStop(seed uint64) Fault {
	var stops []Fault
	for _, lane := range s.faults() {
		for _, fault := range lane {
			if strings.HasPrefix(fault.name, "SIGSTOP") {
				stops = append(stops, fault)
			}
		}
	}
	return stops[seed%uint64(len(stops))]
}

func (s *Setup) ofJine() []Fault {
	var all []Fault
	for _, jine := range s.jines {
		all = append(all, kill(jine.Process), stop(jine.Process), end(jine.Process))
		if len(jine.links) == 0 {
			continue
		}
		all = append(all,
			links("cuts the connections of "+jine.Name, jine.links, (*Link).Break, 0),
			links("cuts off "+jine.Name, jine.links, (*Link).Cut, 8*time.Second),
			links("stalls the connections of "+jine.Name, jine.links, (*Link).Stall, suspended))
	}
	return all
}

func (s *Setup) ofNats() []Fault {
	switch len(s.nats) {
	case 0:
		return s.ofOwnServer(s.jines[0])
	case 1:
		return []Fault{kill(s.nats[0].Process), stop(s.nats[0].Process)}
	default:
		return s.ofCluster()
	}
}

// kill is SIGKILL, and a start a little later.
func kill(p *Process) Fault {
	return Fault{"kill -9 of " + p.Name, func() (string, error) { p.Stop(syscall.SIGKILL); return "", nil }, p.Start, 3 * time.Second}
}

func end(p *Process) Fault {
	return Fault{"SIGTERM to " + p.Name, func() (string, error) { p.Stop(syscall.SIGTERM); return "", nil }, p.Start, time.Second}
}

func stop(p *Process) Fault {
	return Fault{"SIGSTOP of " + p.Name,
		func() (string, error) { p.Signal(syscall.SIGSTOP); return "", nil },
		func() error { p.Signal(syscall.SIGCONT); return nil }, suspended}
}

func links(name string, all []*Link, do func(*Link), longest time.Duration) Fault {
	return Fault{name, func() (string, error) {
		for _, link := range all {
			do(link)
		}
		return "", nil
	}, func() error {
		for _, link := range all {
			link.Heal()
		}
		return nil
	}, longest}
}

// ofOwnServer are the faults of the nats-server that a jine runs itself.
func (s *Setup) ofOwnServer(jine *Jine) []Fault {
	child := 0
	signal := func(signal syscall.Signal) func() (string, error) {
		return func() (string, error) {
			if child = childOf(jine.Pid(), "nats-server"); child == 0 {
				return "nothing", nil
			}
			return "", syscall.Kill(child, signal)
		}
	}
	goOn := func() error {
		if child != 0 {
			_ = syscall.Kill(child, syscall.SIGCONT)
		}
		return nil
	}
	both := func(signal syscall.Signal) {
		if child = childOf(jine.Pid(), "nats-server"); child != 0 {
			_ = syscall.Kill(child, signal)
		}
		jine.Signal(signal)
	}
	return []Fault{
		{"kill -9 of jine's nats-server", signal(syscall.SIGKILL), nothing, time.Second},
		{"SIGSTOP of jine's nats-server", signal(syscall.SIGSTOP), goOn, suspended},
		{"SIGSTOP of jine and its nats-server", func() (string, error) { both(syscall.SIGSTOP); return "", nil },
			func() error { jine.Signal(syscall.SIGCONT); return goOn() }, suspended},
	}
}

// ofCluster are the faults of three nats-servers, of which one leads the stream.
func (s *Setup) ofCluster() []Fault {
	leader := 0
	find := func() *Nats {
		leader = s.leader()
		return s.nats[leader]
	}
	other := func() *Nats { return s.nats[(s.leader()+1)%len(s.nats)] }
	var all []Fault
	for _, pick := range []struct {
		who  string
		find func() *Nats
	}{{"the stream's leader", find}, {"a follower", other}} {
		var hit *Nats
		all = append(all,
			Fault{"kill -9 of " + pick.who, func() (string, error) {
				hit = pick.find()
				hit.Stop(syscall.SIGKILL)
				return hit.Name, nil
			}, func() error { return hit.Start() }, 6 * time.Second},
			Fault{"SIGSTOP of " + pick.who, func() (string, error) {
				hit = pick.find()
				hit.Signal(syscall.SIGSTOP)
				return hit.Name, nil
			}, func() error { hit.Signal(syscall.SIGCONT); return nil }, suspended},
			Fault{"cuts the routes of " + pick.who, func() (string, error) {
				hit = pick.find()
				s.isolate(hit, (*Link).Cut)
				return hit.Name, nil
			}, func() error { s.isolate(hit, (*Link).Heal); return nil }, 15 * time.Second},
			Fault{"stalls the routes of " + pick.who, func() (string, error) {
				hit = pick.find()
				s.isolate(hit, (*Link).Stall)
				return hit.Name, nil
			}, func() error { s.isolate(hit, (*Link).Heal); return nil }, suspended})
	}
	return append(all, Fault{"leaves jine-a alone with the stream's leader", func() (string, error) {
		hit := find()
		s.isolate(hit, (*Link).Cut)
		for i := range s.nats {
			if i != leader {
				s.jines[0].links[i].Cut()
			} else {
				s.jines[1].links[i].Cut()
			}
		}
		return hit.Name, nil
	}, func() error { s.heal(); return nil }, 15 * time.Second},
		Fault{"kill -9 of all nats-servers", func() (string, error) {
			for _, nats := range s.nats {
				nats.Stop(syscall.SIGKILL)
			}
			return "", nil
		}, func() error {
			for _, nats := range s.nats {
				if err := nats.Start(); err != nil {
					return err
				}
			}
			return nil
		}, 2 * time.Second})
}

// isolate does something to all routes from and to a server.
func (s *Setup) isolate(hit *Nats, do func(*Link)) {
	for _, nats := range s.nats {
		for _, link := range nats.routes {
			if strings.Contains(link.Name, hit.Name) {
				do(link)
			}
		}
	}
}

// lasts is how long a fault goes on: mostly short, at times as long as it may, and never longer than what is left.
func (f Fault) lasts(random *rand.Rand, left time.Duration) time.Duration {
	if f.longest == 0 {
		return 0
	}
	longest := min(f.longest, left)
	if random.IntN(4) != 0 {
		longest = min(longest, 4*time.Second)
	}
	if longest <= 200*time.Millisecond {
		return longest
	}
	return 100*time.Millisecond + time.Duration(random.Int64N(int64(longest-100*time.Millisecond)))
}

func (f Fault) describe(hit string, lasts time.Duration) string {
	if hit != "" {
		hit = " (" + hit + ")"
	}
	if lasts == 0 {
		return f.name + hit
	}
	return fmt.Sprintf("%s%s for %.1fs", f.name, hit, lasts.Seconds())
}
