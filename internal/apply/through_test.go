package apply

import (
	"net"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/linux/netns/nstest"
	"github.com/maxconn/maxconn/internal/observe"
)

// A listener that several processes have open is reached through the one that was named; through a
// process that has it not, it is not there.
func TestThroughTheNamedProcess(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	file, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	sleep := nstest.Tool(t, "sleep")
	heir, other := exec.Command(sleep, "60"), exec.Command(sleep, "60")
	heir.ExtraFiles = append(heir.ExtraFiles, file)
	for _, c := range []*exec.Cmd{heir, other} {
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Process.Kill(); _ = c.Wait() }()
	}
	e, err := Open(filepath.Join(t.TempDir(), "state"), "")
	if err != nil {
		t.Fatal(err)
	}
	pid := heir.Process.Pid
	p, err := lengthened(e, l.Addr().String(), 1<<20, pid)
	if err != nil || len(p.Changes) == 0 {
		t.Fatalf("%v, %+v", err, p)
	}
	got := p.Changes[len(p.Changes)-1].Target
	if got.PID != int64(pid) || got.Start != startOf(pid) || got.Cookie == 0 {
		t.Errorf("%+v, want process %d", got, pid)
	}
	if p, err := lengthened(e, l.Addr().String(), 1<<20, other.Process.Pid); err == nil {
		t.Errorf("through a process that does not have it: %+v", p.Changes)
	}
	s, err := observe.Observe(t.Context(), observe.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, asked := range []int{pid, other.Process.Pid} {
		own, err := e.Own(s, asked)
		if err != nil {
			t.Fatal(err)
		}
		row, ok := own.Read().Row(host.ListenerKind, l.Addr().String())
		if !ok || (row.Count("pid") == int64(asked)) != (asked == pid) {
			t.Errorf("as process %d sees it, it is of %d, %v", asked,
				row.Count("pid"), ok)
		}
	}
}
