package observe_test

import (
	"context"
	"errors"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/lab"
	"github.com/maxconn/maxconn/internal/linux/netns"
	"github.com/maxconn/maxconn/internal/observe"
)

func TestQuietNamespaceIsStable(t *testing.T) {
	s := start(t)
	server, client := s.spawn("server"), s.spawn("client")
	g, at := s.listen(server, "127.0.0.1:8080", 5)
	s.connect(client, lab.ConnectSpec{To: at, N: 4})
	s.accept(server, g, 2)
	quiet := func() string {
		snapshot := s.observe()
		var lines []string
		for _, f := range snapshot.Facts() {
			switch f.Kind {
			case host.MeminfoKind, host.LoadavgKind, host.SoftnetKind, host.SlabKind,
				host.CgroupKind, host.ProtocolKind:
			default:
				if r := text(snapshot, f); f != host.Sysctl("fs.file-nr") &&
					f != host.Sysctl("fs.inode-nr") &&
					!strings.HasPrefix(f.Name, "TCP.") {
					lines = append(lines, f.String()+" = "+r)
				}
			}
		}
		return strings.Join(lines, "\n")
	}
	if d := cmp.Diff(quiet(), quiet()); d != "" {
		t.Error(d)
	}
}

func TestWindow(t *testing.T) {
	s := start(t)
	server, client := s.spawn("app"), s.spawn("client")
	_, at := s.listen(server, "127.0.0.1:8080", 2)
	done := make(chan error, 1)
	progress := func(left time.Duration) {
		if left > time.Second {
			return // only once, when the first snapshot has been taken
		}
		_, err := client.Connect(lab.ConnectSpec{To: at, N: 9, NonBlocking: true})
		select {
		case done <- err:
		default:
		}
	}
	have := must(observe.Window(context.Background(), s.options(), time.Second, progress))(t)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if text(have, host.System("window")) == "" {
		t.Error("no length of the window")
	}
	moved, ok := have.Read().Moved(host.Fact{Kind: host.ListenerKind, Name: at.String()},
		"drops")
	if !ok || moved < 6 {
		t.Errorf("%d drops in the window, want 6 at least", moved)
	}
	if moved, ok := have.Read().Moved(host.Counter("TcpExt.ListenOverflows")); !ok ||
		moved < 6 {
		t.Errorf("%d overflows in the window, want 6 at least", moved)
	}
}

func TestWindowEndsWithItsContext(t *testing.T) {
	s := start(t)
	ctx, cancel := context.WithCancel(context.Background())
	_, err := observe.Window(ctx, s.options(), time.Hour, func(time.Duration) { cancel() })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if _, err := observe.Observe(ctx, s.options()); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

func TestNamespaceThatIsNone(t *testing.T) {
	_, err := observe.Observe(context.Background(),
		observe.Options{Namespace: "/proc/self/ns/uts"})
	var e *netns.Error
	if !errors.As(err, &e) || e.Reason != netns.NotNamespace {
		t.Errorf("error %v", err)
	}
}

func TestTextRoundTrip(t *testing.T) {
	s := start(t)
	have := s.observe()
	back := must(host.Parse(have.Text()))(t)
	if d := cmp.Diff(string(have.Text()), string(back.Text())); d != "" {
		t.Error(d)
	}
	if n := len(names(have, host.CounterKind)); n < 40 || n > 150 {
		t.Errorf("%d counters", n)
	}
	kinds := map[host.Kind]bool{}
	for _, f := range have.Facts() {
		kinds[f.Kind] = true
	}
	for _, k := range []host.Kind{host.SystemKind, host.SysctlKind, host.CounterKind,
		host.SockstatKind, host.MeminfoKind, host.SoftnetKind, host.LinkKind} {
		if !kinds[k] {
			t.Errorf("no %s among %v", k, slices.Collect(maps.Keys(kinds)))
		}
	}
}

// The first member of a group goes while it is watched: what it dropped is not taken for, or from,
// what the other one did. Which one is first depends on the CPUs that made them.
func TestWindowOfAGroupThatChanges(t *testing.T) {
	s := start(t)
	full, empty, client := s.spawn("full"), s.spawn("empty"), s.spawn("client")
	spec := lab.ListenSpec{Addr: netip.MustParseAddrPort("127.0.0.1:8080"), Backlog: 2,
		ReusePort: true}
	group, at, err := full.Listen(spec)
	if err != nil {
		t.Fatal(err)
	}
	must(client.Connect(lab.ConnectSpec{To: at, N: 9, NonBlocking: true}))(t)
	other, _, err := empty.Listen(spec)
	if err != nil {
		t.Fatal(err)
	}
	drops := func(h host.Snapshot, name string) int {
		n, err := strconv.Atoi(row(h, host.ListenerKind, name)["drops"])
		if err != nil {
			t.Errorf("drops of %s: %v", name, err)
		}
		return n
	}
	before := s.observe()
	goes, stays := full, "empty"
	if row(before, host.ListenerKind, at.String())["process"] == "empty" {
		goes, stays, group = empty, "full", other
	}
	closed := sync.OnceFunc(func() { must(goes.Close(group, lab.CloseSpec{}))(t) })
	have := must(observe.Window(context.Background(), s.options(), 200*time.Millisecond,
		func(time.Duration) {
			closed()
		}))(t)
	s.want(have, host.ListenerKind, at.String(), "process="+stays)
	most := drops(have, at.String()) - drops(before, at.String()+"~2")
	if moved, _ := have.Read().Moved(host.Fact{Kind: host.ListenerKind, Name: at.String()},
		"drops"); moved < 0 || moved > int64(most) {
		t.Errorf("%d drops moved, at most %d did", moved, most)
	}
}
