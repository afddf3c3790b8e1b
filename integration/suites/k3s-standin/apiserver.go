package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// How long kube-apiserver may take to end after SIGTERM.
const stopLimit = 60 * time.Second

type apiServer struct {
	process *exec.Cmd
	url     string
	ended   chan error
}

func startAPIServer(options *Options, credentials *Credentials) (*apiServer, error) {
	directory := filepath.Join(options.dataDir, "server")
	if err := os.MkdirAll(directory, 0o700); err != nil {
		return nil, err
	}
	signing, tokens := filepath.Join(directory, "service.key"), filepath.Join(directory, "tokens.csv")
	admin := credentials.AdminToken + ",admin,admin,system:masters\n"
	for file, text := range map[string]string{signing: credentials.SigningKey, tokens: admin} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			return nil, err
		}
	}
	server := &apiServer{url: fmt.Sprintf("https://127.0.0.1:%d", options.port), ended: make(chan error, 1)}
	server.process = exec.Command(os.Getenv("KUBE_APISERVER"),
		"--etcd-servers="+options.endpoint,
		fmt.Sprintf("--secure-port=%d", options.port),
		"--cert-dir="+filepath.Join(directory, "certificates"),
		"--token-auth-file="+tokens, "--authorization-mode=RBAC",
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file="+signing, "--service-account-signing-key-file="+signing,
		"--service-cluster-ip-range=10.43.0.0/16")
	server.process.Stdout, server.process.Stderr = os.Stderr, os.Stderr
	server.process.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := server.process.Start(); err != nil {
		return nil, err
	}
	go func() { server.ended <- server.process.Wait() }()
	return server, nil
}

// awaitReady asks /readyz, which anybody may see.
func (s *apiServer) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	// The certificate is one that kube-apiserver has just made for itself.
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+"/readyz", nil)
		if err != nil {
			return err
		}
		if answer, err := client.Do(request); err == nil {
			answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case err := <-s.ended:
			return fmt.Errorf("kube-apiserver did not start: %v", err)
		case <-ctx.Done():
			return fmt.Errorf("kube-apiserver is not ready: %w", ctx.Err())
		case <-time.After(200 * time.Millisecond):
		}
	}
}

func (s *apiServer) stop() error {
	_ = s.process.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.ended:
		return nil
	case <-time.After(stopLimit):
		_ = s.process.Process.Kill()
		return fmt.Errorf("kube-apiserver did not end within %s", stopLimit)
	}
}

func writeKubeconfig(options *Options, credentials *Credentials) error {
	text := fmt.Sprintf(`apiVersion: v1
kind: Config
clusters:
- name: default
  cluster: {server: "https://127.0.0.1:%d", insecure-skip-tls-verify: true}
users:
- name: default
  user: {token: "%s"}
contexts:
- name: default
  context: {cluster: default, user: default}
current-context: default
`, options.port, credentials.AdminToken)
	return os.WriteFile(options.kubeconfig, []byte(text), 0o600)
}
