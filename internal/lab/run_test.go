//go:build linux

package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/maxconn/maxconn/internal/linux/netns/nstest"
)

func TestRun(t *testing.T) {
	for _, name := range []string{"readlink", "cat", "sh"} {
		nstest.Tool(t, name)
	}
	l := start(t)
	ctx := context.Background()
	out := must(l.Run(ctx, nil, "readlink", "/proc/self/ns/net"))(t)
	if got := strings.TrimSpace(string(out.Stdout)); got != identity(t, l).String() ||
		out.Code != 0 {
		t.Errorf("the program ran in %s (%+v)", got, out)
	}
	long := strings.Repeat("0123456789abcdef", 20000) // more than a pipe holds
	out = must(l.Run(ctx, strings.NewReader(long), "cat"))(t)
	if string(out.Stdout) != long {
		t.Errorf("cat gave %d bytes of %d", len(out.Stdout), len(long))
	}
	out = must(l.Run(ctx, strings.NewReader(long), "sh", "-c", "echo no >&2; exit 3"))(t)
	if out.Code != 3 || string(out.Stderr) != "no\n" {
		t.Errorf("exit 3 gave %+v", out)
	}
	out = must(l.Run(ctx, nil, "sh", "-c", "kill -9 $$"))(t)
	if out.Code != 137 {
		t.Errorf("kill -9 gave %d", out.Code)
	}
	if _, err := l.Run(ctx, nil, "no-such-program"); err == nil ||
		!strings.Contains(err.Error(), exec.ErrNotFound.Error()) {
		t.Errorf("Run(no-such-program) = %v", err)
	}
	if len(l.actors) != 0 {
		t.Errorf("%d workers are left of the commands", len(l.actors))
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	nstest.Tool(t, "sh") // which opens the fifo: without it nobody would
	nstest.Tool(t, "sleep")
	l := start(t)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	fifo := filepath.Join(t.TempDir(), "pid")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		_, err := l.Run(ctx, nil, "sh", "-c", `echo $$ >"$0"; exec sleep 60`, fifo)
		ended <- err
	}()
	var pid int
	text := must(os.ReadFile(fifo))(t)
	if _, err := fmt.Sscan(string(text), &pid); err != nil || !alive(pid) {
		t.Fatalf("the program said %q", text)
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("Run = %v", err)
	}
	await(t, "the program is gone", func() bool { return !alive(pid) })
}
