package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	apiextensions "k8s.io/apiextensions-apiserver/pkg/client/clientset/clientset"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// ControlPlane is kube-apiserver, controller-manager, scheduler and kwok, and clients to it.
type ControlPlane struct {
	run       *Run
	pki       *PKI
	url       string
	apiserver *Process
	config    *rest.Config
	kube      *kubernetes.Clientset
	crds      *apiextensions.Clientset
	dynamic   *dynamic.DynamicClient

	stopping atomic.Bool
	restarts atomic.Int32
	mu       sync.Mutex
	others   map[string]*Process
	renewed  *Process
}

// eventTTL is how long the API server keeps Events.
const eventTTL = 40 * time.Second

// startControlPlane returns when all is up. Compaction happens at the given interval.
func (r *Run) startControlPlane(d Datastore, compaction time.Duration) (*ControlPlane, error) {
	c := &ControlPlane{run: r, others: map[string]*Process{}}
	r.processes.stopping = append(r.processes.stopping, func() { c.stopping.Store(true) })
	ports, err := freePorts(4)
	if err != nil {
		return nil, err
	}
	if c.pki, err = newPKI(filepath.Join(r.dir, "pki")); err != nil {
		return nil, err
	}
	c.url = "https://127.0.0.1:" + strconv.Itoa(ports[0])
	for _, who := range [][]string{
		{"apiserver", "kube-apiserver"},
		{"admin", "admin", "system:masters"},
		{"controller-manager", "system:kube-controller-manager"},
		{"scheduler", "system:kube-scheduler"},
		{"kwok", "kwok", "system:masters"},
	} {
		if err := c.pki.Issue(who[0], who[1], who[2:]...); err != nil {
			return nil, err
		}
		if err := c.writeKubeconfig(who[0]); err != nil {
			return nil, err
		}
	}
	if err := c.startAPIServer(d, ports[0], compaction); err != nil {
		return nil, err
	}
	if err := c.connect(); err != nil {
		return nil, err
	}
	if err := c.await(90 * time.Second); err != nil {
		return nil, fmt.Errorf("%w; its log ends: %s", err, c.apiserver.Tail())
	}
	c.keep("kube-controller-manager", c.components("controller-manager", ports[1],
		"--service-account-private-key-file="+c.pki.Path("sa.key"), "--root-ca-file="+c.pki.Path("ca.crt"),
		"--use-service-account-credentials", "--kube-api-qps=200", "--kube-api-burst=400")...)
	c.keep("kube-scheduler", c.components("scheduler", ports[2], "--kube-api-qps=200", "--kube-api-burst=400")...)
	stages, err := exec.Command(filepath.Join(r.tools, "kwok-stages")).Output()
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(c.pki.Path("stages.yaml"), stages, 0o600); err != nil {
		return nil, err
	}
	c.keep("kwok", "--config="+c.pki.Path("stages.yaml"), "--kubeconfig="+c.pki.Path("kwok.kubeconfig"), "--manage-all-nodes",
		// Without leases the nodes would be taken for dead after 50 s. A kwok that is started
		// again has to wait until those of the one before have expired.
		"--node-lease-duration-seconds=10",
		"--server-address=127.0.0.1:"+strconv.Itoa(ports[3]))
	return c, nil
}

func (c *ControlPlane) startAPIServer(d Datastore, port int, compaction time.Duration) (err error) {
	c.apiserver, err = c.run.processes.Start("kube-apiserver", filepath.Join(c.run.tools, "kube-apiserver"),
		"--etcd-servers="+d.Endpoint(), "--etcd-compaction-interval="+compaction.String(),
		"--event-ttl="+eventTTL.String(), "--bind-address=127.0.0.1", "--secure-port="+strconv.Itoa(port),
		// An Endpoints object takes no loopback address; nobody connects to this one.
		"--advertise-address=192.0.2.1", "--service-cluster-ip-range=10.96.0.0/16",
		"--authorization-mode=Node,RBAC", "--client-ca-file="+c.pki.Path("ca.crt"),
		"--tls-cert-file="+c.pki.Path("apiserver.crt"), "--tls-private-key-file="+c.pki.Path("apiserver.key"),
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file="+c.pki.Path("sa.pub"), "--service-account-signing-key-file="+c.pki.Path("sa.key"))
	return err
}

func (c *ControlPlane) components(who string, port int, more ...string) []string {
	kubeconfig := c.pki.Path(who + ".kubeconfig")
	return append([]string{"--kubeconfig=" + kubeconfig, "--authentication-kubeconfig=" + kubeconfig,
		"--authorization-kubeconfig=" + kubeconfig, "--bind-address=127.0.0.1",
		"--secure-port=" + strconv.Itoa(port)}, more...)
}

// keep runs a component and starts it again when it ends, as a kubelet would: one that can't
// renew its leader lease for 10 s gives up.
func (c *ControlPlane) keep(name string, args ...string) {
	go func() {
		for !c.stopping.Load() {
			process, err := c.run.processes.Start(name, filepath.Join(c.run.tools, name), args...)
			if err != nil {
				c.run.Say("%s can't be started: %v", name, err)
				return
			}
			c.mu.Lock()
			c.others[name] = process
			c.mu.Unlock()
			<-process.done
			c.mu.Lock()
			renewed := c.renewed == process
			c.mu.Unlock()
			if !c.stopping.Load() && !renewed {
				c.restarts.Add(1)
				c.run.Say("%s has ended and is started again", name)
				time.Sleep(time.Second)
			}
		}
	}()
}

// renewKwok starts kwok afresh: unlike a kubelet it doesn't try again what the API server has
// refused once, such as the deletion of a pod.
func (c *ControlPlane) renewKwok() {
	c.mu.Lock()
	c.renewed = c.others["kwok"]
	c.mu.Unlock()
	c.renewed.Kill()
}

// Stop ends the control plane. It does so at once: asked kindly, the API server would wait for
// every watch to end.
func (c *ControlPlane) Stop() {
	c.stopping.Store(true)
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, process := range c.others {
		process.Kill()
	}
	c.apiserver.Kill()
}

// await waits until the API server says that it is ready.
func (c *ControlPlane) await(limit time.Duration) error {
	return c.run.eventually(limit, func() error {
		if !c.apiserver.Running() {
			return fmt.Errorf("kube-apiserver has ended")
		}
		_, err := c.kube.Discovery().RESTClient().Get().AbsPath("/readyz").DoRaw(c.run.ctx)
		return err
	})
}

func (c *ControlPlane) connect() (err error) {
	c.config, err = clientcmd.BuildConfigFromFlags("", c.pki.Path("admin.kubeconfig"))
	if err != nil {
		return err
	}
	c.config.QPS, c.config.Burst = 500, 1000
	if c.kube, err = kubernetes.NewForConfig(c.config); err != nil {
		return err
	}
	if c.crds, err = apiextensions.NewForConfig(c.config); err != nil {
		return err
	}
	c.dynamic, err = dynamic.NewForConfig(c.config)
	return err
}

func (c *ControlPlane) writeKubeconfig(who string) error {
	return clientcmd.WriteToFile(clientcmdapi.Config{
		Clusters: map[string]*clientcmdapi.Cluster{
			"test": {Server: c.url, CertificateAuthority: c.pki.Path("ca.crt")},
		},
		AuthInfos: map[string]*clientcmdapi.AuthInfo{
			who: {ClientCertificate: c.pki.Path(who + ".crt"), ClientKey: c.pki.Path(who + ".key")},
		},
		Contexts:       map[string]*clientcmdapi.Context{"test": {Cluster: "test", AuthInfo: who}},
		CurrentContext: "test",
	}, c.pki.Path(who+".kubeconfig"))
}
