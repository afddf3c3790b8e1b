package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// checkNATSView looks at the cluster's objects with the nats command line, with the read-only
// access that jine leaves in its data directory.
func (r *Run) checkNATSView(d Datastore, c *ControlPlane) {
	j, ok := d.(*jine)
	if !ok || j.nats != nil {
		r.Skip("the view through the nats command line", "only a jine with its own nats-server gives one")
		return
	}
	r.Check("nats kv ls names every pod", func() error {
		text, err := j.natsCommand(r.ctx, "kv", "ls", "jine")
		if err != nil {
			return err
		}
		keys := map[string]bool{}
		for _, field := range strings.Fields(text) {
			keys[field] = true
		}
		pods, err := c.kube.CoreV1().Pods("").List(r.ctx, meta.ListOptions{})
		if err != nil {
			return err
		}
		for _, pod := range pods.Items {
			if key := "registry.pods." + pod.Namespace + "." + pod.Name; !keys[key] {
				return fmt.Errorf("%s is not among its %d words", key, len(keys))
			}
		}
		return nil
	})
	r.Check("nats kv get shows an object", func() error {
		text, err := j.natsCommand(r.ctx, "kv", "get", "--raw", "jine", "registry.configmaps."+work+".db")
		if err == nil && (!strings.HasPrefix(text, "k8s\x00") || !strings.Contains(text, "mode")) {
			err = fmt.Errorf("%.100q", text)
		}
		return err
	})
	for name, args := range map[string][]string{
		"nats kv history shows an object's changes": {"kv", "history", "jine", "registry.deployments." + work + ".web"},
		"nats str report shows the stream":          {"str", "report"},
	} {
		r.Check(name, func() error {
			text, err := j.natsCommand(r.ctx, args...)
			if err == nil && !strings.Contains(text, args[len(args)-1]) && !strings.Contains(text, "KV_jine") {
				err = fmt.Errorf("%.300q", text)
			}
			return err
		})
	}
	r.Check("nats kv put is refused", func() error {
		if text, err := j.natsCommand(r.ctx, "kv", "put", "jine", "foreign", "value"); err == nil {
			return fmt.Errorf("it says %q", text)
		}
		text, err := j.natsCommand(r.ctx, "kv", "ls", "jine")
		if err == nil && strings.Contains(text, "foreign") {
			err = errors.New("yet the key is there")
		}
		return err
	})
}

// natsCommand runs nats with the configuration directory that jine has written.
func (j *jine) natsCommand(ctx context.Context, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(j.run.tools, "nats"), args...)
	cmd.Env = append(os.Environ(), "XDG_CONFIG_HOME="+filepath.Join(j.run.dir, "jine", "reader"))
	text, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%s: %w: %.300s", strings.Join(args, " "), err, text)
	}
	return string(text), err
}
