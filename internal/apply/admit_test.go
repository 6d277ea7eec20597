package apply

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/limit"
	"github.com/maxconn/maxconn/internal/plan"
)

// A plan that was edited by hand says what it writes, writes only what the limit would have it
// write, and lowers nothing.
func TestPlanEditedByHand(t *testing.T) {
	of := func(c plan.Change, limit string) plan.Change { c.Limit = limit; return c }
	raise := func(limit, name, from, to string) plan.Change {
		return of(change(sysctl(name), from, to), limit)
	}
	called := func(c plan.Change, words string) plan.Change { c.Setting = words; return c }
	files, queued := of(
		change(soft, "1024", "2048"),
		"process-files",
	), of(
		change(queue, "5", "50"),
		"accept-queue",
	)
	longer := of(change(device, "500", "1000"), "transmit-queue")
	for _, c := range []struct {
		want   string
		change plan.Change
	}{
		{"", raise("accept-queue", "net.core.somaxconn", "128", "4096")},
		{
			`is called "net.core.somaxcon`,
			called(raise("orphans", "net.ipv4.tcp_max_orphans", "4096", "8192"),
				"net.core.somaxconn"),
		},
		{
			`"net.ipv4.ip_forward" is no setting that a plan changes`,
			raise("time-wait", "net.ipv4.ip_forward", "0", "1"),
		},
		{
			`"net.ipv4.conf.all.rp_filter" is no`,
			raise("time-wait", "net.ipv4.conf.all.rp_filter", "0", "1"),
		},
		{
			`"net.ipv4.tcp_rmem" is no`,
			raise("tcp-memory", "net.ipv4.tcp_rmem", "4096 131072 6291456",
				"4096 131072 2147483647"),
		},
		{
			`"net.ipv4.tcp_syn_retries" is no`,
			raise("ephemeral-ports", "net.ipv4.tcp_syn_retries", "6", "127"),
		},
		{
			`"net.ipv4.ip_unprivileged_port_start" is no`,
			raise("ephemeral-ports", "net.ipv4.ip_unprivileged_port_start", "1024",
				"32767"),
		},
		{ // 532 to the kernel
			`"01024" begins with a zero`,
			raise("ephemeral-ports", "net.ipv4.ip_local_port_range", "32768 60999",
				"01024 65535"),
		},
		{
			`"010000" begins with a zero`,
			raise("accept-queue", "net.core.somaxconn", "4096", "010000"),
		},
		{
			`"0777" begins with a zero`,
			raise("ephemeral-ports", "net.ipv4.ip_local_reserved_ports", "",
				"8080,0777"),
		},
		{`a number has no sign`, raise("accept-queue", "net.core.somaxconn", "128",
			"+4096")},
		{ // as another target than the sysctl, it passed what is asked of lists of ports
			"it names a process, a socket or a device, and a sysctl has none",
			of(change(plan.Target{
				Kind: host.SysctlKind, Name: "net.ipv4.ip_local_reserved_ports",
				Start: 1,
			}, "", "1024-65535"), "ephemeral-ports"),
		},
		{"a sysctl has none", of(change(plan.Target{
			Kind: host.SysctlKind, Name: "net.core.somaxconn", Inode: 1,
		}, "128", "4096"), "accept-queue")},
		{`"077" is not a process ID`, of(change(plan.Target{
			Kind: host.ProcessKind, Name: "077", Field: "soft", Start: 1,
		}, "128", "4096"), "process-files")},
		{"a plan goes from 60 to 60",
			raise("fin-wait", "net.ipv4.tcp_fin_timeout", "300", "30")},
		{"a plan makes nothing less",
			raise("fin-wait", "net.ipv4.tcp_fin_timeout", "30", "60")},
		{"", raise("fin-wait", "net.ipv4.tcp_fin_timeout", "300", "60")},
		{`the limit "orphans" does not lift it`,
			raise("orphans", "net.core.somaxconn", "128", "4096")},
		{
			`from "4096" to "128": a plan makes nothing less`,
			raise("accept-queue", "net.core.somaxconn", "4096", "128"),
		},
		{
			`"1024 65535" to "32768 60999"`,
			raise("ephemeral-ports", "net.ipv4.ip_local_port_range", "1024 65535",
				"32768 60999"),
		},
		{"(txqueuelen of eth0): it is called", called(longer, "txqueuelen of eth1")},
		{
			"(soft descriptor limit of pid 77): it is called",
			called(files, "soft descriptor limit of nginx (pid 78)"),
		},
		{
			"(accept queue of 0.0.0.0:80, pid 77): it is called",
			called(queued, "accept queue of 0.0.0.0:80, nginx (pid 7)"),
		},
		{"", called(files, "soft descriptor limit of nginx (pid 77)")},
		{
			"",
			called(of(change(hard, "1024", "2048"), "process-files"),
				"hard descriptor limit of pid 77"),
		},
		{"", called(queued, "accept queue of 0.0.0.0:80, a (pid 1) (pid 77)")},
		{"", longer},
	} {
		c.change.Why = strings.Repeat("x\u202e", 3<<18)
		text, err := json.Marshal(
			plan.Plan{Schema: plan.Schema, Host: here.Host,
				Changes: []plan.Change{c.change}},
		)
		if err != nil {
			t.Fatal(err)
		}
		p, err := ReadPlan(bytes.NewReader(text))
		if (err == nil) != (c.want == "") ||
			err != nil && (!strings.Contains(err.Error(), c.want) ||
				len(err.Error()) > 300) {
			t.Errorf(
				"%s from %s to %s: %v, want %q",
				c.change.Setting,
				c.change.From,
				c.change.To,
				err,
				c.want,
			)
		}
		if err == nil &&
			(len(p.Changes[0].Why) > plan.MostText+3 ||
				p.Changes[0].Setting != c.change.Target.Called("")) {
			t.Errorf("%d bytes of reasons, called %q", len(p.Changes[0].Why),
				p.Changes[0].Setting)
		}
	}
}

// What plan makes of the recorded hosts is admitted; Check would miss the start times of
// their processes.
func TestAdmitsPlans(t *testing.T) {
	files, err := filepath.Glob("../../testdata/hosts/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no hosts", err)
	}
	changes := 0
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		s, err := host.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		works := []limit.Workload{
			{},
			{Outbound: []limit.Goal{{Subject: "198.51.100.1:443", Held: 40_000,
				PerSecond: 2_000}}},
		}
		for _, row := range s.Read().Rows(host.ListenerKind) {
			works = append(
				works,
				limit.Workload{
					Inbound: []limit.Goal{{Subject: row.Name(), Held: 200_000,
						Burst: 20_000}},
				},
			)
		}
		for i, w := range works {
			p, err := plan.Make(s, w, plan.Options{ToMax: i == 0})
			if err != nil {
				continue // a member of a group is no listener's name
			}
			changes += len(p.Changes)
			if err := plan.Admit(p); err != nil {
				t.Errorf("%s, %+v: %v", name, w, err)
			}
		}
	}
	if changes < 50 {
		t.Errorf("only %d changes were looked at", changes)
	}
}
