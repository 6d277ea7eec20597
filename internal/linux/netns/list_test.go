//go:build linux

package netns

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"github.com/maxconn/maxconn/internal/linux/netns/nstest"
)

func TestListHasEachNamespaceOnce(t *testing.T) {
	p := throwAway(t)
	v := named(t, map[string]Path{"blue": p, "azure": p, "home": "/proc/self/ns/net"})
	if err := os.WriteFile(filepath.Join(v.Named[0], "stale"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := v.List()
	if err != nil {
		t.Fatal(err)
	}
	seen := map[ID]Namespace{}
	for _, ns := range l.Namespaces {
		if _, twice := seen[ns.ID]; twice {
			t.Errorf("%v is listed twice", ns.ID)
		}
		seen[ns.ID] = ns
	}
	own := l.Namespaces[0]
	if !own.Own || own.ID != mustID(t, "/proc/self/ns/net") ||
		!slices.Equal(own.Names, []string{"home"}) {
		t.Errorf("the first one is %+v, want the own one", own)
	}
	if own.PID == 0 || own.PID > os.Getpid() || own.Comm == "" || own.Processes == 0 {
		t.Errorf("the own namespace has no representative: %+v", own)
	}
	blue := seen[mustID(t, p)]
	if !slices.Equal(blue.Names, []string{"azure", "blue"}) || blue.PID != 0 || blue.Own {
		t.Errorf("the named one is %+v", blue)
	}
	if _, err := Identify(blue.Path); err != nil {
		t.Errorf("its path leads nowhere: %v", err)
	}
	stale := Unreadable{NotNamespace.String(), 1}
	if !slices.Contains(l.Unreadable, stale) {
		t.Errorf("unreadable = %+v, want %+v among them", l.Unreadable, stale)
	}
}

func TestListFindsAProcessOfAnotherNamespace(t *testing.T) {
	cmd := exec.Command("/proc/self/exe", "-test.run=^TestHold$")
	cmd.Env = append(os.Environ(), nstest.ChildEnv+"=1", "NETNS_HOLD=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	hold, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		nstest.Unavailable(t, err)
	}
	defer cmd.Wait()
	defer hold.Close()
	l, err := System().List()
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(l.Namespaces, func(ns Namespace) bool {
		return ns.PID == cmd.Process.Pid
	})
	if i < 0 {
		t.Fatalf("process %d represents no namespace in %+v", cmd.Process.Pid, l.Namespaces)
	}
	if ns := l.Namespaces[i]; ns.Own || ns.Comm == "" || ns.Processes != 1 {
		t.Errorf("its namespace is %+v", ns)
	}
}

func TestHold(t *testing.T) {
	if os.Getenv("NETNS_HOLD") == "" {
		t.Skip("only the test above runs this, in another namespace")
	}
	os.Stdin.Read(make([]byte, 1))
}
