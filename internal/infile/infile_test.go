//go:build unix

package infile

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

const most = 1 << 20

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestText(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "a")
	must(t, errors.Join(os.WriteFile(name, []byte("text"), 0o700),
		os.Symlink(name, filepath.Join(dir, "link"))))
	for _, n := range []string{"a", "link"} {
		text, mode, err := Text(t.Context(), filepath.Join(dir, n), 4)
		if string(text) != "text" || mode != 0o700 || err != nil {
			t.Errorf("%s: %q, %v, %v", n, text, mode, err)
		}
	}
	var large TooLarge
	if _, _, err := Text(t.Context(), name, 3); !errors.As(err, &large) {
		t.Errorf("above the bound: %v", err)
	}
}

// What is no file is reported without being read: none of these tests would end otherwise.
func TestNoFile(t *testing.T) {
	dir := t.TempDir()
	fifo, socket := filepath.Join(dir, "fifo"), filepath.Join(dir, "socket")
	must(t, syscall.Mkfifo(fifo, 0o600))
	ln, err := net.Listen("unix", socket)
	must(t, err)
	defer ln.Close()
	link := filepath.Join(dir, "link")
	must(t, os.Symlink(fifo, link))
	root, err := os.OpenRoot(dir)
	must(t, err)
	defer root.Close()
	for _, name := range []string{dir, fifo, link, socket, "/dev/zero", "/dev/tty",
		"/proc/kmsg", "/dev/null",
		"/proc/self/mountinfo", "/no/such", "/dev/fd/999", ""} {
		if text, _, err := Text(t.Context(), name, most); err == nil ||
			strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %q, %v", name, text, err)
		}
	}
	for _, name := range []string{"fifo", "link", "socket", ".",
		"../" + filepath.Base(dir) + "/fifo"} {
		if text, _, err := In(t.Context(), root, name, most); err == nil {
			t.Errorf("%s: %q", name, text)
		}
	}
}

// An open descriptor is read whatever it is, because a shell makes them of <(command); it
// stays open.
func TestDescriptor(t *testing.T) {
	r, w, err := os.Pipe()
	must(t, err)
	defer r.Close()
	_, err = w.WriteString("piped")
	must(t, errors.Join(err, w.Close()))
	text, _, err := Text(t.Context(), "/dev/fd/"+strconv.Itoa(int(r.Fd())), most)
	if string(text) != "piped" || err != nil {
		t.Errorf("%q, %v", text, err)
	}
	if n, err := r.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("the pipe afterwards: %d, %v", n, err)
	}
}

// Reading ends with the context, although nobody writes.
func TestEnds(t *testing.T) {
	r, w, err := os.Pipe()
	must(t, err)
	defer r.Close()
	defer w.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Stream(ctx, r, most); !errors.Is(err, context.Canceled) {
		t.Errorf("stream: %v", err)
	}
	if _, _, err := Text(ctx, "/dev/fd/"+strconv.Itoa(int(r.Fd())), most); !errors.Is(err,
		context.Canceled) {
		t.Errorf("descriptor: %v", err)
	}
}

// A stream without end ends at the bound.
func TestStream(t *testing.T) {
	zero, err := os.Open("/dev/zero")
	must(t, err)
	defer zero.Close()
	var large TooLarge
	if _, err := Stream(t.Context(), zero, most); !errors.As(err, &large) ||
		large.Most != most {
		t.Errorf("without end: %v", err)
	}
	if text, err := Stream(t.Context(), bytes.NewReader(make([]byte, most)),
		most); len(text) != most || err != nil {
		t.Errorf("as much as may be: %d bytes, %v", len(text), err)
	}
}
