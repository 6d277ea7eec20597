//go:build linux

package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// maxconn lint | head -1 ends without a word, with the verdict as its status.
func TestLintClosedPipe(t *testing.T) {
	file := filepath.Join(t.TempDir(), "x.conf")
	if err := os.WriteFile(file, []byte("net.ipv4.tcp_timestamps = 0\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, form := range []string{"--all", "--json", "--sarif"} {
		var stderr bytes.Buffer
		status := run(t.Context(), []string{"lint", "--kernel", "6.1", form, file}, nil,
			closedPipe{&os.PathError{Op: "write", Path: "|1", Err: syscall.EPIPE}},
			&stderr, noEnv)
		if status != statusBinds || stderr.Len() > 0 {
			t.Errorf("%s: status %d, %s", form, status, &stderr)
		}
	}
}

// Ctrl-C ends a lint that waits for its standard input.
func TestLintInterrupt(t *testing.T) {
	silent, writer := io.Pipe()
	defer writer.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var stdout, stderr bytes.Buffer
	status := run(ctx, []string{"lint", "--kernel", "6.1", "-"}, silent, &stdout, &stderr,
		noEnv)
	if status != statusInterrupted || stdout.Len() > 0 || stderr.Len() > 0 {
		t.Errorf("status %d, stdout %q, stderr %q", status, &stdout, &stderr)
	}
}

// Where the running kernel has a setting, lint does not call its name unknown.
func TestLintAsksTheKernel(t *testing.T) {
	for name, want := range map[string]bool{
		"net.core.somaxconn": true, "kernel.hostname": true, "net.core": false,
		"net.core.no_such": false, "..": false, "": false,
		"net.ipv4.conf.lo.forwarding": true,
	} {
		if have := kernelHas(name); have != want {
			t.Errorf("%q: %v, want %v", name, have, want)
		}
	}
	status, stdout, _ := called(t.Context(), "lint", "--fail-on", "none", "--json",
		"/proc/self/status")
	if status != statusHolds || !strings.Contains(stdout, `"lines": []`) {
		t.Errorf("status %d, %s", status, stdout)
	}
}
