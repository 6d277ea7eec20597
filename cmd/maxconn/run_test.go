//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/maxconn/maxconn/internal/linux/netns/nstest"
)

// called runs the program in this process.
func called(ctx context.Context, args ...string) (status int, stdout, stderr string) {
	var out, err bytes.Buffer
	status = run(ctx, args, strings.NewReader(""), &out, &err, noEnv)
	return status, out.String(), err.String()
}

// closedPipe is the writing end of a pipe that nobody reads.
type closedPipe struct{ err error }

func (c closedPipe) Write([]byte) (int, error) { return 0, c.err }

// maxconn | head -1 ends without a word, with the verdict as its status.
func TestClosedPipe(t *testing.T) {
	file := filepath.Join("testdata", "hosts", "proxy.txt")
	for _, args := range [][]string{{"--from", file}, {"--from", file, "--json"},
		{"--from", file, "--md"}, {"explain", "time-wait", "--from", file}, {"explain"},
		{"man"}, {"docs"}, {"--help"}} {
		var stderr bytes.Buffer
		status := run(t.Context(), args, strings.NewReader(""),
			closedPipe{&os.PathError{Op: "write", Path: "|1", Err: syscall.EPIPE}},
			&stderr, noEnv)
		want := statusHolds
		if args[0] == "--from" {
			want = statusBinds
		}
		if stderr.Len() > 0 || status != want {
			t.Errorf("%q: status %d, want %d, %s", args, status, want, &stderr)
		}
	}
}

// A full disk is not a closed pipe.
func TestFullDisk(t *testing.T) {
	var stderr bytes.Buffer
	status := run(t.Context(), []string{"version"}, nil, closedPipe{syscall.ENOSPC}, &stderr,
		noEnv)
	if status != statusFailed || !strings.Contains(stderr.String(), "no space left on device") {
		t.Errorf("status %d, %s", status, &stderr)
	}
}

// Ctrl-C ends at once, whatever is waited for, and leaves nothing half-written.
func TestInterrupt(t *testing.T) {
	silent, writer := io.Pipe()
	defer writer.Close()
	output := filepath.Join(t.TempDir(), "box.txt")
	for _, args := range [][]string{
		{"check", "--for", "1h"}, {"observe", "--for", "1h"},
		{"observe", "--for", "1h", "-o", output}, {"check", "--from", "-"},
		{"explain", "time-wait", "--from", "-"}, {"check", "--for", "1h", "--all-netns"},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		var stdout, stderr bytes.Buffer
		done := make(chan int)
		go func() { done <- run(ctx, args, silent, &stdout, &stderr, noEnv) }()
		cancel()
		if status := <-done; status != statusInterrupted || stdout.Len() > 0 ||
			stderr.Len() > 0 {
			t.Errorf("%q: status %d, stdout %q, stderr %q", args, status, &stdout,
				&stderr)
		}
		if left, _ := filepath.Glob(output + "*"); len(left) > 0 {
			t.Errorf("%q left %q", args, left)
		}
	}
}

// openTerminal is a pseudo-terminal of that many columns; screen gives what was written on
// it after it is closed.
func openTerminal(t *testing.T, columns uint16) (terminal *os.File, screen func() string) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { master.Close() })
	fd := int(master.Fd())
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	err = errors.Join(err, unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0),
		unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 40, Col: columns}))
	if err != nil {
		t.Fatal(err)
	}
	slave, err := os.OpenFile(filepath.Join("/dev/pts", strconv.Itoa(n)),
		os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	text := make(chan string)
	go func() {
		b, _ := io.ReadAll(master) // ends with EIO when the terminal is closed
		text <- string(b)
	}()
	return slave, func() string { slave.Close(); return <-text }
}

func TestTerminal(t *testing.T) {
	file := filepath.Join("testdata", "hosts", "full-queue.txt")
	for _, c := range []struct {
		name    string
		columns uint16
		env     map[string]string
		colour  bool
	}{
		{"wide", 120, map[string]string{"TERM": "xterm"}, true},
		{"narrow", 40, map[string]string{"TERM": "xterm"}, true},
		{"NO_COLOR", 100, map[string]string{"TERM": "xterm", "NO_COLOR": "1"}, false},
		{"empty NO_COLOR", 100, map[string]string{"TERM": "xterm", "NO_COLOR": ""}, true},
		{"dumb", 100, map[string]string{"TERM": "dumb"}, false},
		{"no TERM", 100, nil, false},
		{"COLUMNS does not count", 60, map[string]string{"TERM": "dumb", "COLUMNS": "200"},
			false},
	} {
		tty, screen := openTerminal(t, c.columns)
		status := run(t.Context(), []string{"--from", file}, nil, tty, io.Discard,
			func(k string) string {
				return c.env[k]
			})
		out := screen()
		if status != statusBinds || !strings.Contains(out, "CRITICAL") {
			t.Errorf("%s: status %d:\n%s", c.name, status, out)
		}
		if have := strings.Contains(out, "\x1b["); have != c.colour {
			t.Errorf("%s: colour %v", c.name, have)
		}
		for line := range strings.Lines(uncoloured(out)) {
			if n := len(strings.TrimRight(line, "\r\n")); n > int(c.columns) {
				t.Errorf("%s: %d columns: %q", c.name, n, line)
			}
		}
	}
}

// A process that ends while it is watched is nobody's misuse: nothing is known about it.
func TestProcessEndsInTheWindow(t *testing.T) {
	t.Parallel()
	for _, verb := range []string{"check", "observe"} {
		process := exec.Command(nstest.Tool(t, "sleep"), "1000")
		if err := process.Start(); err != nil {
			t.Fatal(err)
		}
		tty, screen := openTerminal(t, 80)
		shown := watchFor(t, tty, "watching", func() {
			process.Process.Kill()
			process.Wait()
		})
		pid := strconv.Itoa(process.Process.Pid)
		var stdout bytes.Buffer
		status := run(t.Context(), []string{verb, "--pid", pid, "--for", "1s"}, nil,
			&stdout, shown, noEnv)
		out := screen()
		if status != statusUnknown || stdout.Len() > 0 ||
			!strings.Contains(out,
				"maxconn: error: could not tell: process "+pid+" ended while "+
					"it was "+
					"observed") || !strings.Contains(out, "maxconn: hint: ") {
			t.Errorf("%s: status %d, stdout %q, stderr %q", verb, status, &stdout, out)
		}
	}
}

// watched is a terminal that calls seen once, when a word is written on it.
type watched struct {
	*os.File
	word string
	seen func()
}

func watchFor(t *testing.T, tty *os.File, word string, seen func()) *watched {
	w := &watched{tty, word, sync.OnceFunc(seen)}
	t.Cleanup(w.seen)
	return w
}

func (w *watched) Write(b []byte) (int, error) {
	if strings.Contains(string(b), w.word) {
		w.seen()
	}
	return w.File.Write(b)
}

func uncoloured(s string) string {
	var b strings.Builder
	for part := range strings.SplitSeq(s, "\x1b[") {
		if _, rest, ok := strings.Cut(part, "m"); ok && b.Len() > 0 {
			part = rest
		}
		b.WriteString(part)
	}
	return b.String()
}

// The countdown is for people: on a terminal only, and gone at the end.
func TestProgress(t *testing.T) {
	tty, screen := openTerminal(t, 80)
	p := (&app{stderr: tty}).progress()
	p.show(9*time.Second + time.Millisecond)
	p.show(time.Millisecond)
	p.done()
	p.show(time.Second)
	out := screen()
	if !strings.Contains(out, "watching, 10 s left") ||
		!strings.Contains(out, "watching, 1 s left") || !strings.HasSuffix(out, " \r") ||
		strings.Contains(out, "\n") {
		t.Errorf("%q", out)
	}
	if _, _, stderr := called(t.Context(), "observe", "--for", "20ms"); stderr != "" {
		t.Errorf("not a terminal: %q", stderr)
	}
}

// A file that exists is replaced whole or not at all; what is no file is not written to.
func TestObserveWritesWholeFiles(t *testing.T) {
	dir := t.TempDir()
	file, link, fifo := filepath.Join(dir, "box.txt"), filepath.Join(dir, "link.txt"),
		filepath.Join(dir, "fifo")
	err := errors.Join(os.WriteFile(file, []byte("old"), 0o600), os.Symlink(file, link),
		syscall.Mkfifo(fifo, 0o600))
	if err != nil {
		t.Fatal(err)
	}
	if err := writeFile(file, []byte("new")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{link, fifo} {
		if err := writeFile(name, []byte("through")); err == nil {
			t.Errorf("%s was written to", name)
		}
	}
	if text, err := os.ReadFile(file); string(text) != "new" {
		t.Errorf("%q, %v", text, err)
	}
	if left, err := os.ReadDir(dir); len(left) != 3 || err != nil {
		t.Errorf("left %v, %v", left, err)
	}
}
