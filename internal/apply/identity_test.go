package apply

import (
	"net/netip"
	"path/filepath"
	"reflect"
	"strconv"
	"testing"
	"time"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/lab"
	"github.com/maxconn/maxconn/internal/linux/netns"
	"github.com/maxconn/maxconn/internal/observe"
	"github.com/maxconn/maxconn/internal/plan"
)

// Every number that a plan or a journal stores to know a thing again may be another thing's by the
// time of a write. The two tests below go over all fields there are: one that is added is tried, or
// makes them fail.

// Of what a target names, each number alone keeps a write away from what has the others.
func TestReusedNumbersOfTargets(t *testing.T) {
	s := newSpace(t)
	server, err := s.Spawn("server")
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := server.Listen(lab.ListenSpec{
		Addr: netip.MustParseAddrPort("127.0.0.1:8080"), Backlog: 5}); err != nil {
		t.Fatal(err)
	}
	e, err := Open(filepath.Join(t.TempDir(), "state"), netns.Path(s.NetNS()))
	if err != nil {
		t.Fatal(err)
	}
	snapshot, err := observe.Observe(t.Context(),
		observe.Options{Namespace: netns.Path(s.NetNS())})
	if err != nil {
		t.Fatal(err)
	}
	row := func(k host.Kind, name string) host.Row {
		r, _ := snapshot.Read().Row(k, name)
		return r
	}
	pid := strconv.Itoa(server.PID())
	start := uint64(row(host.ProcessKind, pid).Count("start"))
	tried := map[string]bool{}
	for _, target := range []plan.Target{
		{Kind: host.ProcessKind, Name: pid, Field: "soft", Start: start},
		{Kind: host.ListenerKind, Name: "127.0.0.1:8080", Field: "limit", Start: start,
			PID: int64(server.PID()), Inode: uint64(row(host.ListenerKind,
				"127.0.0.1:8080").Count("inode"))},
		{Kind: host.LinkKind, Name: "lo", Field: "txqueuelen",
			Index: row(host.LinkKind, "lo").Count("index")},
	} {
		p := e.Hold(plan.Plan{Changes: []plan.Change{{Target: target}}})
		target = p.Changes[0].Target // with the cookie of the socket
		before, err := e.Kernel.Read(target)
		if err != nil {
			t.Fatal(err)
		}
		for i, f := range reflect.VisibleFields(reflect.TypeFor[plan.Target]()) {
			other := target
			v := reflect.ValueOf(&other).Elem().Field(i)
			if v.IsZero() {
				continue
			}
			switch {
			case v.CanUint():
				v.SetUint(v.Uint() + 1)
			case v.CanInt():
				v.SetInt(v.Int() + 1)
			default:
				continue
			}
			tried[f.Name] = true
			err := e.Kernel.Write(other, before+"0")
			have, readErr := e.Kernel.Read(target)
			if err == nil || readErr != nil || have != before {
				t.Errorf("%s with another %s: %v; %q became %q, %v", target.Fact(),
					f.Name, err, before, have, readErr)
			}
		}
		if err := e.Kernel.Write(target, before); err != nil { // the control
			t.Errorf("%s: %v", target.Fact(), err)
		}
	}
	for _, f := range reflect.VisibleFields(reflect.TypeFor[plan.Target]()) {
		if f.Type.Kind() != reflect.String && !tried[f.Name] {
			t.Errorf("%s was not tried", f.Name)
		}
	}
}

// Of where a run happened, each name and number that is another one now keeps a rollback away.
func TestReusedNumbersOfPlaces(t *testing.T) {
	cases := map[string]func(*Place){
		"Cookie": func(p *Place) { p.Cookie++ },
		"BootID": func(p *Place) { p.BootID = "another" },
		"Netns":  func(p *Place) { p.Netns = "net:[2]" },
		// told apart by the numbers above
		"Name": nil, "Kernel": nil, "Scope": nil, "Boot": nil, "Path": nil, "Initial": nil,
		"Host": nil,
	}
	for _, f := range reflect.VisibleFields(reflect.TypeFor[Place]()) {
		change, known := cases[f.Name]
		if !known {
			t.Errorf("%s is not in the table", f.Name)
		}
		if change == nil {
			continue
		}
		b, p := newBench(t), thePlan()
		b.Here.Cookie, p.Host.Cookie = 7, 7
		if _, err := b.Apply(t.Context(), p, Options{}); err != nil {
			t.Fatal(err)
		}
		written := len(b.kernel.written)
		change(&b.Here)
		b.Rollback(1, true)
		for _, w := range b.kernel.written[written:] {
			// limits of a process are of no namespace
			if w != "77=1024" && w != "77=4096" {
				t.Errorf("with another %s the rollback wrote %s", f.Name, w)
			}
		}
	}
}

// Two runs of two namespaces that had one number and one name, one after the other: what is known
// of the first says nothing of the second.
func TestTwoNamespacesOfOneNumber(t *testing.T) {
	first := here
	first.Netns, first.Cookie, first.Path = "net:[9]", 1, "/run/netns/a"
	second := first
	second.Cookie = 2
	e := &Engine{Here: here, Gone: func(p Place) bool { return p.Cookie == 1 }}
	if !e.ended(first) || e.ended(second) {
		t.Errorf("ended: %v and %v, want true and false", e.ended(first), e.ended(second))
	}
}

// A plan for a namespace that was not the host's own is for none of a later boot, whatever its
// number.
func TestPlanOfAnotherBoot(t *testing.T) {
	for _, initial := range []bool{true, false} {
		b, p := newBench(t), thePlan()
		b.Here.Initial = initial
		p.Changes = p.Changes[:1]
		at, err := time.Parse(time.RFC3339, b.Here.Boot)
		if err != nil {
			t.Fatal(err)
		}
		p.Host.Boot = at.Add(-time.Hour).Format(time.RFC3339)
		_, err = b.Apply(t.Context(), p, Options{})
		if (err == nil) != initial {
			t.Errorf("in the host's own: %v: %v", initial, err)
		}
	}
}
