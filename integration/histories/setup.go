package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Setup is the programs of one run.
type Setup struct {
	name  string
	jines []*Jine
	nats  []*Nats
}

// Jine is one, and its links to the nats-servers that it does not run itself.
type Jine struct {
	*Process
	port  int
	links []*Link
}

func (j *Jine) url() string { return fmt.Sprintf("http://127.0.0.1:%d", j.port) }

// Nats is a nats-server of its own standing, and the links of its routes to the others.
type Nats struct {
	*Process
	port, cluster, monitor int
	routes                 []*Link
}

// maxPayload of the nats-servers: small, so that values of some kilobytes take several messages.
const maxPayload = 64 << 10

// setupNames in the order in which they run.
var setupNames = []string{"embedded", "r1", "r3"}

func newSetup(name, dir string, o *Options) (*Setup, error) {
	s := &Setup{name: name}
	switch name {
	case "embedded":
		return s, s.addJine(dir, o, "a", "nats://")
	case "r1":
		if err := s.addNats(dir, o, 1); err != nil {
			return nil, err
		}
		return s, s.addLinked(dir, o, "replicas=1")
	case "r3":
		if err := s.addNats(dir, o, 3); err != nil {
			return nil, err
		}
		return s, s.addLinked(dir, o, "replicas=3")
	}
	return nil, fmt.Errorf("no setup %q: %s", name, strings.Join(setupNames, ", "))
}

func (s *Setup) addJine(dir string, o *Options, name, endpoint string, links ...*Link) error {
	port, err := freePort()
	if err != nil {
		return err
	}
	process := newProcess(dir, "jine-"+name, o.jine, "--endpoint", endpoint, "--listen-address", fmt.Sprintf("127.0.0.1:%d", port),
		"--name", name, "--data-dir", filepath.Join(dir, "jine-"+name), "--nats-server", filepath.Join(o.tools, "nats-server"),
		"--metrics-bind-address", "0", "--watch-progress-notify-interval", "500ms", "--log-level", o.logLevel)
	s.jines = append(s.jines, &Jine{process, port, links})
	return nil
}

// addLinked adds two jine with a link of their own to each nats-server.
func (s *Setup) addLinked(dir string, o *Options, parameters string) error {
	for _, name := range []string{"a", "b"} {
		var links []*Link
		var hosts []string
		for _, nats := range s.nats {
			link, err := newLink(fmt.Sprintf("jine-%s and %s", name, nats.Name), nats.port)
			if err != nil {
				return err
			}
			links = append(links, link)
			hosts = append(hosts, fmt.Sprintf("nats://127.0.0.1:%d", link.port()))
		}
		endpoint := strings.Join(hosts, ",") + "?bucket=jine&" + parameters
		if err := s.addJine(dir, o, name, endpoint, links...); err != nil {
			return err
		}
	}
	return nil
}

func (s *Setup) addNats(dir string, o *Options, count int) error {
	for i := range count {
		ports, err := freePorts(3)
		if err != nil {
			return err
		}
		name := fmt.Sprintf("nats-%d", i+1)
		config := filepath.Join(dir, name+".conf")
		process := newProcess(dir, name, filepath.Join(o.tools, "nats-server"), "-c", config)
		s.nats = append(s.nats, &Nats{Process: process, port: ports[0], cluster: ports[1], monitor: ports[2]})
	}
	for _, from := range s.nats {
		for _, to := range s.nats {
			if from == to {
				continue
			}
			link, err := newLink(from.Name+" and "+to.Name, to.cluster)
			if err != nil {
				return err
			}
			from.routes = append(from.routes, link)
		}
		if err := os.WriteFile(filepath.Join(dir, from.Name+".conf"), []byte(from.config(dir)), 0o600); err != nil {
			return err
		}
	}
	return nil
}

func (n *Nats) config(dir string) string {
	text := fmt.Sprintf("server_name: %s\nlisten: \"127.0.0.1:%d\"\nhttp: \"127.0.0.1:%d\"\nmax_payload: %d\njetstream {\n  store_dir: %q\n}\n",
		n.Name, n.port, n.monitor, maxPayload, filepath.Join(dir, n.Name))
	if len(n.routes) == 0 {
		return text
	}
	var routes []string
	for _, link := range n.routes {
		routes = append(routes, fmt.Sprintf("\"nats-route://127.0.0.1:%d\"", link.port()))
	}
	// Advertised is a place where nobody is: the servers are to find each other by the links alone.
	return text + fmt.Sprintf("cluster {\n  name: histories\n  listen: \"127.0.0.1:%d\"\n  advertise: \"127.0.0.1:1\"\n  no_advertise: true\n  routes: [%s]\n}\n",
		n.cluster, strings.Join(routes, ", "))
}

func (s *Setup) Start() error {
	for _, nats := range s.nats {
		if err := nats.Start(); err != nil {
			return err
		}
	}
	for _, jine := range s.jines {
		if err := jine.Start(); err != nil {
			return err
		}
	}
	return nil
}

func (s *Setup) Stop() {
	s.heal()
	for _, jine := range s.jines {
		jine.Signal(syscall.SIGCONT)
		jine.Stop(syscall.SIGTERM)
	}
	for _, nats := range s.nats {
		nats.Signal(syscall.SIGCONT)
		nats.Stop(syscall.SIGKILL)
	}
	for _, link := range s.links() {
		link.Close()
	}
}

func (s *Setup) links() []*Link {
	var all []*Link
	for _, jine := range s.jines {
		all = append(all, jine.links...)
	}
	for _, nats := range s.nats {
		all = append(all, nats.routes...)
	}
	return all
}

func (s *Setup) heal() {
	for _, link := range s.links() {
		link.Heal()
	}
}

// Ended finds what has ended by itself.
func (s *Setup) Ended() error {
	var all error
	for _, jine := range s.jines {
		all = errors.Join(all, jine.Ended())
	}
	for _, nats := range s.nats {
		all = errors.Join(all, nats.Ended())
	}
	return all
}

// leader is the nats-server that leads the stream, as far as any of them knows; the first where none does.
func (s *Setup) leader() int {
	for _, nats := range s.nats {
		name := nats.leader()
		for i, other := range s.nats {
			if other.Name == name {
				return i
			}
		}
	}
	return 0
}

// leader asks the server's monitoring port.
func (n *Nats) leader() string {
	client := http.Client{Timeout: 500 * time.Millisecond}
	response, err := client.Get(fmt.Sprintf("http://127.0.0.1:%d/jsz?streams=true", n.monitor))
	if err != nil {
		return ""
	}
	defer response.Body.Close()
	var told struct {
		Accounts []struct {
			Streams []struct {
				Cluster struct {
					Leader string `json:"leader"`
				} `json:"cluster"`
			} `json:"stream_detail"`
		} `json:"account_details"`
	}
	if err := json.NewDecoder(response.Body).Decode(&told); err != nil {
		return ""
	}
	for _, account := range told.Accounts {
		for _, stream := range account.Streams {
			return stream.Cluster.Leader
		}
	}
	return ""
}
