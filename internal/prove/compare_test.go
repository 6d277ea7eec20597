package prove

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/lab"
	"github.com/maxconn/maxconn/internal/limit"
)

// narrow is a host with few ports, a short queue and a low descriptor limit, and the server's pid.
func narrow(t *testing.T) (host.Snapshot, int) {
	t.Helper()
	var s host.Snapshot
	var pid int
	b := &Bench{ctx: context.Background(), model: limit.Find}
	err := caught(func() {
		w := b.World("net.ipv4.ip_local_port_range=40000 40109",
			"net.ipv4.ip_local_reserved_ports=40100-40109")
		server := w.Actor("server")
		b.Must(server.Limit(64))
		_, _, err := server.Listen(lab.ListenSpec{Addr: netip.AddrPortFrom(loopback, 8080),
			Backlog: 5})
		b.Must(err)
		s, pid = w.Snapshot(), server.PID()
	})
	if errors.Is(err, lab.ErrUnavailable) &&
		!strings.Contains(os.Getenv("MAXCONN_REQUIRE"), "lab") {
		t.Skip(err)
	}
	if err = errors.Join(err, b.close()); err != nil {
		t.Fatal(err)
	}
	return s, pid
}

func changes(pid int) []host.Setting {
	set := func(kind host.Kind, name, want string) host.Setting {
		return host.Setting{Fact: host.Fact{Kind: kind, Name: name}, Want: want}
	}
	return []host.Setting{
		set(host.SysctlKind, portRange, "40000 40599"),
		set(host.ListenerKind, "127.0.0.1:8080#limit", "255"),
		set(host.ProcessKind, fmt.Sprint(pid, "#soft"), "400"),
		set(host.SysctlKind, "net.core.netdev_max_backlog", "2000"),
	}
}

func TestCompare(t *testing.T) {
	today, pid := narrow(t)
	r, err := Compare(context.Background(), CompareOptions{
		Today: today, Changes: changes(pid),
		Workload: limit.Workload{
			Outbound: []limit.Goal{{Subject: "192.0.2.9:5432", Held: 300}},
			Inbound: []limit.Goal{{Subject: ":8080", Held: 200, Burst: 100},
				{Subject: ":9999", Held: 5}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if text, err := json.Marshal(r); err != nil {
		t.Error(err)
	} else {
		t.Logf("%s", text)
	}
	want := []string{"outbound held 100 300", "inbound held 0 200", "inbound burst 6 100",
		"inbound held 0 0"}
	for i, c := range r.Comparison {
		before := c.Before.Measured
		if i == 1 { // 64 less what a server has open besides, which the model knows
			before -= float64(*c.Before.Predicted)
		}
		if got := fmt.Sprintf("%s %s %.0f %.0f", c.Direction, c.Measure, before,
			c.After.Measured); got != want[i] {
			t.Errorf("%s: %s, want %s", c.Subject, got, want[i])
		}
		if known := c.Subject != ":9999"; c.After.Met != known || c.Before.Met ||
			(c.After.Why == "") != known {
			t.Errorf("%s %s: met %v before and %v after, %q", c.Subject, c.Measure,
				c.Before.Met, c.After.Met, c.After.Why)
		}
	}
	if len(r.Carried) != 3 || len(r.NotCarried) != 1 || r.Carried[1].Before != "5" {
		t.Errorf("carried %v, not carried %v", r.Carried, r.NotCarried)
	}
}

// Rates need one and a half lengths of TIME_WAIT.
func TestCompareRates(t *testing.T) {
	if !strings.Contains(os.Getenv("MAXCONN_REQUIRE"), "slow") {
		t.Skip("takes 95 s: asked for with MAXCONN_REQUIRE=slow")
	}
	today, pid := narrow(t)
	r, err := Compare(context.Background(), CompareOptions{
		Today: today, Changes: changes(pid),
		Workload: limit.Workload{
			Outbound: []limit.Goal{{Subject: "192.0.2.9:5432", PerSecond: 8},
				{Subject: "127.0.0.1:5432", PerSecond: 90}},
			Inbound: []limit.Goal{{Subject: ":8080", PerSecond: 1000}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	// 100 / 60 = 1.6 a second; on loopback tcp_tw_reuse = 2 makes it 100
	for i, want := range []bool{false, true, true} {
		c := r.Comparison[i]
		t.Logf("%s: %+v, %+v", c.Subject, c.Before, c.After)
		if p := c.Before.Predicted; p != nil &&
			(*p > int64(c.Before.Measured+1) ||
				float64(*p)*1.05+1 < c.Before.Measured) {
			t.Errorf("%s: predicted %d, measured %.1f", c.Subject, *p,
				c.Before.Measured)
		}
		if c.Before.Met != want || !c.After.Met {
			t.Errorf("%s: met %v before and %v after", c.Subject, c.Before.Met,
				c.After.Met)
		}
	}
}
