//go:build linux

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/maxconn/maxconn/internal/diagnose"
	"github.com/maxconn/maxconn/internal/lab"
	"github.com/maxconn/maxconn/internal/lab/labtest"
)

// world is a lab with a server and a client in it.
type world struct {
	*testing.T
	lab            *lab.Lab
	server, client *lab.Actor
}

var loopback = netip.MustParseAddr("127.0.0.1")

func at(port uint16) netip.AddrPort { return netip.AddrPortFrom(loopback, port) }

func (w world) listen(port uint16, backlog int) lab.Group {
	w.Helper()
	g, _, err := w.server.Listen(lab.ListenSpec{Addr: at(port), Backlog: backlog})
	w.must(err)
	return g
}

func (w world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w world) set(key, value string) {
	w.Helper()
	w.must(w.lab.Set(key, value))
}

func newWorld(t *testing.T) (w world) {
	t.Helper()
	w = world{T: t, lab: labtest.Start(t)}
	var err error
	w.server, err = w.lab.Spawn("server")
	w.must(err)
	w.client, err = w.lab.Spawn("client")
	w.must(err)
	return w
}

// built is the directory of binary; TestMain removes it.
var built string

// binary is maxconn itself, built once. A clone of another user's has no version to be stamped
// with.
var binary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "maxconn")
	if err != nil {
		return "", err
	}
	built = dir
	path := filepath.Join(dir, "maxconn")
	out, err := exec.Command("go", "build", "-buildvcs=false", "-o", path,
		".").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%v: %s", err, out)
	}
	return path, os.Chmod(dir, 0o755)
})

// check runs maxconn inside the lab.
func (w world) check(args ...string) (diagnose.Report, lab.Output) {
	w.Helper()
	path, err := binary()
	w.must(err)
	out, err := w.lab.Run(context.Background(), nil,
		append([]string{path, "check", "--json"}, args...)...)
	w.must(err)
	var r diagnose.Report
	if err := json.Unmarshal(out.Stdout, &r); err != nil {
		w.Fatalf("%v\n%s%s", err, out.Stdout, out.Stderr)
	}
	return r, out
}
