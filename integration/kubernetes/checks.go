package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
)

// metric sums a counter of the API server over the label sets that the filter lets through.
func (c *ControlPlane) metric(name string, filter func(labels string) bool) (sum float64, seen []string, err error) {
	text, err := c.kube.Discovery().RESTClient().Get().AbsPath("/metrics").DoRaw(c.run.ctx)
	if err != nil {
		return 0, nil, err
	}
	for line := range strings.Lines(string(text)) {
		rest, ok := strings.CutPrefix(line, name)
		if !ok || (rest[0] != '{' && rest[0] != ' ') {
			continue
		}
		at := strings.LastIndexByte(rest, ' ')
		labels := rest[:at]
		value, err := strconv.ParseFloat(strings.TrimSpace(rest[at:]), 64)
		if err != nil || value == 0 || !filter(labels) {
			continue
		}
		sum += value
		seen = append(seen, strings.TrimSpace(line))
	}
	return sum, seen, nil
}

var serverError = regexp.MustCompile(`code="5\d\d"`)

// checkMetrics demands that no request failed. The readiness probe is not one: it says 500
// until the API server is up.
func (r *Run) checkMetrics(c *ControlPlane) {
	r.Check("no request was answered with 5xx", func() error {
		return none(c.metric("apiserver_request_total", func(labels string) bool {
			return serverError.MatchString(labels) && !strings.Contains(labels, `subresource="/readyz"`)
		}))
	})
	r.Check("etcd_request_errors_total is zero", func() error {
		return none(c.metric("etcd_request_errors_total", func(string) bool { return true }))
	})
	total, _, err := c.metric("etcd_requests_total", func(string) bool { return true })
	if err == nil {
		r.Say("the API server has made %.0f requests to the datastore", total)
	}
}

func none(_ float64, seen []string, err error) error {
	if err == nil && len(seen) > 0 {
		err = errors.New(strings.Join(seen, "; "))
	}
	return err
}

// checkLog looks for what no metric shows: watches that broke on an event, and panics.
func (r *Run) checkLog(c *ControlPlane) {
	for _, bad := range []string{"watch chan error", "panic: ", "Observed a panic"} {
		r.Check(fmt.Sprintf("no %q in the API server's log", bad), func() error {
			lines, err := grep(c.apiserver.log, bad)
			if err == nil && len(lines) > 0 {
				err = fmt.Errorf("%d times: %s", len(lines), lines[0])
			}
			return err
		})
	}
}

func grep(path, text string) (lines []string, err error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	scanner := bufio.NewScanner(file)
	scanner.Buffer(nil, 16<<20)
	for scanner.Scan() {
		if strings.Contains(scanner.Text(), text) {
			lines = append(lines, scanner.Text())
		}
	}
	return lines, scanner.Err()
}
