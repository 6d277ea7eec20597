package observe_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/lab"
	"github.com/maxconn/maxconn/internal/linux/netns"
	"github.com/maxconn/maxconn/internal/linux/netns/nstest"
	"github.com/maxconn/maxconn/internal/observe"
)

// scene is a lab and what is observed of it.
type scene struct {
	*testing.T
	*lab.Lab
}

func start(t *testing.T) scene {
	t.Helper()
	l, err := lab.Start(context.Background())
	if errors.Is(err, lab.ErrUnavailable) {
		nstest.Unavailable(t, err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return scene{t, l}
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func (s scene) options() observe.Options {
	return observe.Options{Namespace: netns.Path(s.NetNS()), Name: "lab"}
}

func (s scene) observe() host.Snapshot {
	s.Helper()
	return must(observe.Observe(context.Background(), s.options()))(s)
}

func (s scene) spawn(name string) *lab.Actor {
	s.Helper()
	return must(s.Lab.Spawn(name))(s)
}

func (s scene) listen(a *lab.Actor, addr string, backlog int) (lab.Group, netip.AddrPort) {
	s.Helper()
	g, at, err := a.Listen(lab.ListenSpec{Addr: netip.MustParseAddrPort(addr), Backlog: backlog})
	if err != nil {
		s.Fatal(err)
	}
	return g, at
}

// connect opens n connections, which must all come about.
func (s scene) connect(a *lab.Actor, spec lab.ConnectSpec) lab.Group {
	s.Helper()
	out := must(a.Connect(spec))(s)
	if out.Count != spec.N {
		s.Fatalf("%d of %d connections to %s: %v", out.Count, spec.N, spec.To, out.Errors)
	}
	return out.Group
}

func (s scene) accept(a *lab.Actor, listener lab.Group, n int) lab.Group {
	s.Helper()
	out := must(a.Accept(lab.AcceptSpec{Listener: listener, N: n}))(s)
	if out.Count != n {
		s.Fatalf("%d of %d connections accepted: %v", out.Count, n, out.Errors)
	}
	return out.Group
}

// row is the fields of a row, or nil.
func row(s host.Snapshot, kind host.Kind, name string) map[string]string {
	r, ok := s.Read().Row(kind, name)
	if !ok {
		return nil
	}
	out := map[string]string{}
	for _, f := range r.Fields {
		out[f.Name] = f.Value
	}
	return out
}

// want compares some fields of a row; "" wants a field to be absent.
func (s scene) want(snapshot host.Snapshot, kind host.Kind, name, fields string) {
	s.Helper()
	have := row(snapshot, kind, name)
	if have == nil {
		s.Errorf("no %s %s; there are %v", kind, name, names(snapshot, kind))
		return
	}
	wanted, got := map[string]string{}, map[string]string{}
	for f := range strings.FieldsSeq(fields) {
		k, v, _ := strings.Cut(f, "=")
		wanted[k], got[k] = v, have[k]
	}
	if d := cmp.Diff(wanted, got); d != "" {
		s.Errorf("%s %s (-want +have):\n%s", kind, name, d)
	}
}

func names(s host.Snapshot, kind host.Kind) (out []string) {
	for _, f := range s.Facts() {
		if f.Kind == kind {
			out = append(out, f.Name)
		}
	}
	return out
}

// await observes until something shows that happens by itself: a FIN that is processed.
func (s scene) await(what string, is func(host.Snapshot) bool) host.Snapshot {
	s.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; {
		snapshot := s.observe()
		if is(snapshot) {
			return snapshot
		}
		if time.Now().After(deadline) {
			s.Fatalf("waited too long until %s:\n%s", what, snapshot.Text())
		}
	}
}

func text(s host.Snapshot, f host.Fact) string {
	r, _ := s.Lookup(f)
	return r.Text + r.Err
}

// A server with two listeners, its clients, and nothing wrong.
func TestHealthy(t *testing.T) {
	s := start(t)
	server, client := s.spawn("server"), s.spawn("client")
	g4, at4 := s.listen(server, "0.0.0.0:8080", 100)
	g6, at6 := s.listen(server, "[::]:9090", 5000)
	s.connect(client, lab.ConnectSpec{To: netip.MustParseAddrPort("127.0.0.1:8080"), N: 30})
	s.connect(client, lab.ConnectSpec{To: netip.MustParseAddrPort("[::1]:9090"), N: 7})
	s.connect(client, lab.ConnectSpec{To: netip.MustParseAddrPort("127.0.0.1:9090"), N: 3}) // IPv4 on a dual-stack listener
	s.accept(server, g4, 30)
	s.accept(server, g6, 10)
	have := s.observe()
	pid := fmt.Sprintf(" pid=%d process=server", server.PID())
	s.want(have, host.ListenerKind, at4.String(), "family=4 queue=0 limit=100 drops=0 backlog=100 syn=0 oldest= pids="+pid)
	s.want(have, host.ListenerKind, at6.String(), "family=6 queue=0 limit=4096 backlog= syn=0"+pid)
	s.want(have, host.InboundKind, "0.0.0.0:8080", "ESTABLISHED=30 unaccepted=0"+pid)
	s.want(have, host.InboundKind, "[::]:9090", "ESTABLISHED=10 unaccepted=0"+pid)
	pid = fmt.Sprintf(" pid=%d process=client", client.PID())
	s.want(have, host.OutboundKind, "127.0.0.1->127.0.0.1:8080", "ESTABLISHED=30 ranged=30 fold="+pid)
	s.want(have, host.OutboundKind, "127.0.0.1->127.0.0.1:9090", "ESTABLISHED=3 ranged=3"+pid)
	s.want(have, host.OutboundKind, "::1->[::1]:9090", "ESTABLISHED=7 ranged=7"+pid)
	s.want(have, host.SourceKind, "127.0.0.1", "sockets=33 destinations=2 ports=33 opposite=0")
	s.want(have, host.SourceKind, "::1", "sockets=7 destinations=1 ports=7 shared=0 opposite=0")
	s.want(have, host.ProcessKind, fmt.Sprint(server.PID()), "name=server sockets=42 attributed=all ESTABLISHED=40")
	s.want(have, host.ProcessKind, fmt.Sprint(client.PID()), "name=client sockets=40 attributed=all ESTABLISHED=40")
	for f, want := range map[host.Fact]string{
		host.Ports("listening"): "8080,9090", host.Ports("bound"): "", host.System("netns-name"): "lab", host.System("scope"): "child",
		host.Sysctl("net.core.netdev_max_backlog"): "not visible in a child network namespace",
	} {
		if got := text(have, f); got != want {
			t.Errorf("%s is %q, want %q", f, got, want)
		}
	}
	if got := names(have, host.ProcessKind); len(got) > 3 {
		t.Errorf("processes %v", got)
	}
}

// Nothing of the observation itself shows: two snapshots of a quiet namespace differ
// only in what the host does meanwhile.
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
			case host.MeminfoKind, host.LoadavgKind, host.SoftnetKind, host.SlabKind, host.CgroupKind, host.ProtocolKind:
			default:
				if r := text(snapshot, f); f != host.Sysctl("fs.file-nr") && f != host.Sysctl("fs.inode-nr") && !strings.HasPrefix(f.Name, "TCP.") {
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

func TestAcceptQueue(t *testing.T) {
	s := start(t)
	server, client := s.spawn("app"), s.spawn("client")
	_, at := s.listen(server, "127.0.0.1:8080", 5)
	must(client.Connect(lab.ConnectSpec{To: at, N: 8, NonBlocking: true}))(t)
	have := s.await("the queue is full and has dropped", func(h host.Snapshot) bool {
		r := row(h, host.ListenerKind, "127.0.0.1:8080")
		return r["queue"] == "6" && r["drops"] != "0"
	})
	s.want(have, host.ListenerKind, at.String(), fmt.Sprintf("queue=6 limit=5 backlog=5 oldest=0s youngest=0s pid=%d process=app", server.PID()))
	s.want(have, host.InboundKind, at.String(), "ESTABLISHED=6 unaccepted=6 pid= unaccepted_close_wait=")
	s.want(have, host.OutboundKind, "127.0.0.1->127.0.0.1:8080", "ESTABLISHED=6 SYN_SENT=2")
	s.want(have, host.ProcessKind, fmt.Sprint(server.PID()), "sockets=1 ESTABLISHED=")
	if n, _ := have.Read().Maybe(host.Counter("TcpExt.ListenOverflows")); n < 2 {
		t.Errorf("%d overflows", n)
	}
}

func TestClosedBeforeAccepted(t *testing.T) {
	s := start(t)
	server, client := s.spawn("app"), s.spawn("client")
	_, at := s.listen(server, "127.0.0.1:8080", 100)
	g := s.connect(client, lab.ConnectSpec{To: at, N: 40})
	must(client.Shutdown(g))(t)
	have := s.await("all FINs are there", func(h host.Snapshot) bool {
		return row(h, host.InboundKind, at.String())["CLOSE_WAIT"] == "40"
	})
	s.want(have, host.InboundKind, at.String(), "CLOSE_WAIT=40 unaccepted=40 unaccepted_close_wait=40 close_wait_age=")
}

func TestReusePortGroup(t *testing.T) {
	s := start(t)
	want := map[string]string{}
	for _, name := range []string{"one", "two", "three"} {
		a := s.spawn(name)
		if _, _, err := a.Listen(lab.ListenSpec{Addr: netip.MustParseAddrPort("0.0.0.0:80"), Backlog: 9, ReusePort: true}); err != nil {
			t.Fatal(err)
		}
		want[name] = fmt.Sprint(a.PID())
	}
	have, got, inode := s.observe(), map[string]string{}, ""
	for _, name := range []string{"0.0.0.0:80", "0.0.0.0:80~2", "0.0.0.0:80~3"} {
		r := row(have, host.ListenerKind, name)
		got[r["process"]] = r["pid"]
		if len(r["inode"]) < len(inode) || len(r["inode"]) == len(inode) && r["inode"] <= inode {
			t.Errorf("%s has inode %s after %s", name, r["inode"], inode)
		}
		inode = r["inode"]
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestCloseWaitLeak(t *testing.T) {
	s := start(t)
	server, client := s.spawn("leaky"), s.spawn("client")
	g, at := s.listen(server, "127.0.0.1:8080", 100)
	out := s.connect(client, lab.ConnectSpec{To: at, N: 60})
	s.accept(server, g, 60)
	must(client.Close(out, lab.CloseSpec{}))(t)
	have := s.await("all FINs are there", func(h host.Snapshot) bool {
		return row(h, host.InboundKind, at.String())["CLOSE_WAIT"] == "60"
	})
	s.want(have, host.InboundKind, at.String(), fmt.Sprintf("unaccepted=0 close_wait_age=0s process=leaky pid=%d", server.PID()))
	s.want(have, host.ProcessKind, fmt.Sprint(server.PID()), "CLOSE_WAIT=60 sockets=61")
	s.want(have, host.OutboundKind, "127.0.0.1->127.0.0.1:8080", "FIN_WAIT_2=60 ranged=60 pid= process=") // orphans
}

// A client that closes first holds TIME_WAIT, of which nobody knows the process.
func TestTimeWait(t *testing.T) {
	s := start(t)
	server, client := s.spawn("server"), s.spawn("client")
	g, at := s.listen(server, "127.0.0.1:8080", 100)
	closed := s.connect(client, lab.ConnectSpec{To: at, N: 20})
	s.connect(client, lab.ConnectSpec{To: at, N: 1})
	accepted := s.accept(server, g, 21)
	must(client.Close(closed, lab.CloseSpec{}))(t)
	s.await("the FINs are there", func(h host.Snapshot) bool {
		return row(h, host.InboundKind, at.String())["CLOSE_WAIT"] == "20"
	})
	must(server.Close(accepted, lab.CloseSpec{N: 20}))(t)
	have := s.await("20 are in TIME_WAIT", func(h host.Snapshot) bool {
		return row(h, host.OutboundKind, "127.0.0.1->127.0.0.1:8080")["TIME_WAIT"] == "20"
	})
	s.want(have, host.OutboundKind, "127.0.0.1->127.0.0.1:8080", fmt.Sprintf("ESTABLISHED=1 ranged=21 timestamps=yes pid=%d process=client", client.PID()))
	if err := s.Set("net.ipv4.tcp_timestamps", "0"); err != nil {
		t.Fatal(err)
	}
	_, other := s.listen(server, "127.0.0.1:8081", 100)
	first := s.connect(client, lab.ConnectSpec{To: other, N: 2})
	s.connect(client, lab.ConnectSpec{To: other, N: 1})
	must(client.Close(first, lab.CloseSpec{N: 1}))(t)
	have = s.observe()
	s.want(have, host.OutboundKind, "127.0.0.1->127.0.0.1:8081", "TIME_WAIT= timestamps=") // nothing to reuse, nothing asked
}

func TestPortsInUse(t *testing.T) {
	s := start(t)
	for key, value := range map[string]string{"net.ipv4.ip_local_port_range": "40000 40009", "net.ipv4.ip_local_reserved_ports": "40004-40005"} {
		if err := s.Set(key, value); err != nil {
			t.Fatal(err)
		}
	}
	server, client, binder := s.spawn("server"), s.spawn("client"), s.spawn("holder")
	for _, addr := range []string{"127.0.0.1:8080", "127.0.0.1:8081", "127.0.0.1:40008"} {
		s.listen(server, addr, 100)
	}
	must(binder.Bind(lab.BindSpec{Addr: netip.MustParseAddrPort("127.0.0.9:40001")}))(t)
	must(binder.Bind(lab.BindSpec{Addr: netip.MustParseAddrPort("[::1]:5000")}))(t)
	for _, to := range []string{"127.0.0.1:8080", "127.0.0.1:8081"} {
		out := must(client.Connect(lab.ConnectSpec{To: netip.MustParseAddrPort(to), N: 8}))(t)
		if out.Count != 6 {
			t.Errorf("%d connections to %s, want the 6 ports that are left", out.Count, to)
		}
	}
	have := s.observe()
	s.want(have, host.OutboundKind, "127.0.0.1->127.0.0.1:8080", "ESTABLISHED=6 ranged=6")
	s.want(have, host.SourceKind, "127.0.0.1", "sockets=12 destinations=2 ports=6 shared=6 opposite=3")
	if text(have, host.System("bound-sockets")) != "listed" {
		t.Skip("this kernel does not list bound sockets (Linux 6.8)")
	}
	s.want(have, host.BinderKind, fmt.Sprint(binder.PID()), "process=holder ports=5000,40001")
	if got := text(have, host.Ports("bound")); got != "5000,40001" {
		t.Errorf("bound are %s", got)
	}
	if got := text(have, host.Ports("listening")); got != "8080-8081,40008" {
		t.Errorf("listening are %s", got)
	}
}

// A program that binds before it connects: no port serves two destinations, and
// the parity is the other one.
func TestBindBeforeConnect(t *testing.T) {
	s := start(t)
	server, client := s.spawn("server"), s.spawn("client")
	for _, addr := range []string{"127.0.0.1:8080", "127.0.0.1:8081"} {
		_, at := s.listen(server, addr, 100)
		s.connect(client, lab.ConnectSpec{To: at, N: 20, From: netip.MustParseAddrPort("127.0.0.3:0")})
	}
	s.want(s.observe(), host.SourceKind, "127.0.0.3", "sockets=40 destinations=2 ports=40 shared=0 opposite=40")
}

func TestHalfOpen(t *testing.T) {
	s := start(t)
	server, client := s.spawn("server"), s.spawn("client")
	_, at := s.listen(server, "127.0.0.1:8080", 100)
	must(client.RawSYN(lab.SYNSpec{To: at, N: 25}))(t)
	have := s.await("25 are half open", func(h host.Snapshot) bool {
		return row(h, host.ListenerKind, at.String())["syn"] == "25"
	})
	s.want(have, host.InboundKind, at.String(), "SYN_RECV=25 unaccepted=0")
}

func TestProcessAtItsLimit(t *testing.T) {
	s := start(t)
	server := s.spawn("full")
	s.listen(server, "127.0.0.1:8080", 5)
	if err := server.Limit(200); err != nil {
		t.Fatal(err)
	}
	must(server.FillFiles())(t)
	idle := s.spawn("idle") // without any TCP socket
	if err := idle.Limit(200); err != nil {
		t.Fatal(err)
	}
	must(idle.FillFiles())(t)
	have := s.observe()
	s.want(have, host.ProcessKind, fmt.Sprint(server.PID()), "name=full soft=200 files=200 sockets=1")
	s.want(have, host.ProcessKind, fmt.Sprint(idle.PID()), "name=idle soft=200 files=200 sockets=0")
	if slices.Contains(names(have, host.ProcessKind), fmt.Sprint(s.PID())) {
		t.Error("the lab's first worker is shown: it has neither sockets nor many files")
	}
}

// The last of very many descriptors is the listener.
func TestListenerOfALargeProcess(t *testing.T) {
	s := start(t)
	server := s.spawn("large")
	s.listen(server, "127.0.0.1:8080", 5)
	must(server.Bind(lab.BindSpec{Addr: netip.MustParseAddrPort("127.0.0.1:0"), N: 12_000}))(t)
	_, at := s.listen(server, "127.0.0.1:8081", 5)
	have := s.observe()
	s.want(have, host.ListenerKind, at.String(), fmt.Sprintf("process=large pid=%d", server.PID()))
	read := row(have, host.ProcessKind, fmt.Sprint(server.PID()))
	if read["attributed"] == "all" || read["files"] < "12" {
		t.Errorf("%v", read)
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
	moved, ok := have.Read().Moved(host.Fact{Kind: host.ListenerKind, Name: at.String()}, "drops")
	if !ok || moved < 6 {
		t.Errorf("%d drops in the window, want 6 at least", moved)
	}
	if moved, ok := have.Read().Moved(host.Counter("TcpExt.ListenOverflows")); !ok || moved < 6 {
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
	_, err := observe.Observe(context.Background(), observe.Options{Namespace: "/proc/self/ns/uts"})
	var e *netns.Error
	if !errors.As(err, &e) || e.Reason != netns.NotNamespace {
		t.Errorf("error %v", err)
	}
}

// The snapshot's text can be read back, whole.
func TestTextRoundTrip(t *testing.T) {
	s := start(t)
	have := s.observe()
	back := must(host.Parse(have.Text()))(t)
	if d := cmp.Diff(string(have.Text()), string(back.Text())); d != "" {
		t.Error(d)
	}
	kinds := map[host.Kind]bool{}
	for _, f := range have.Facts() {
		kinds[f.Kind] = true
	}
	for _, k := range []host.Kind{host.SystemKind, host.SysctlKind, host.CounterKind, host.SockstatKind, host.MeminfoKind, host.SoftnetKind, host.LinkKind} {
		if !kinds[k] {
			t.Errorf("no %s among %v", k, slices.Collect(maps.Keys(kinds)))
		}
	}
}
