package observe_test

import (
	"context"
	"errors"
	"net/netip"
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
	g, at, err := a.Listen(lab.ListenSpec{Addr: netip.MustParseAddrPort(addr),
		Backlog: backlog})
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

// Nothing of the observation itself shows: two snapshots of a quiet namespace differ

// only in what the host does meanwhile.

// A client that closes first holds TIME_WAIT, of which nobody knows the process.

// A program that binds before it connects: no port serves two destinations, and

// the parity is the other one.

// The last of very many descriptors is the listener.

// A listener that has been closed is known by the connections it left.

// Forked workers share a listener.

// The snapshot's text can be read back, whole.
