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

// A plan that was edited by hand says what it writes, writes to settings of connections only, and lowers none.
func TestPlanEditedByHand(t *testing.T) {
	raise := func(name, from, to string) plan.Change { return change(sysctl(name), from, to) }
	called := func(c plan.Change, words string) plan.Change { c.Setting = words; return c }
	for want, c := range map[string]plan.Change{
		"":                             raise("net.core.somaxconn", "128", "4096"),
		`is called "net.core.somaxcon`: called(raise("net.ipv4.tcp_max_orphans", "4096", "8192"), "net.core.somaxconn"),
		`"net.ipv4.ip_forward" is no setting of connections`: raise("net.ipv4.ip_forward", "0", "1"),
		`"net.ipv4.conf.all.rp_filter" is no`:                raise("net.ipv4.conf.all.rp_filter", "0", "1"),
		`from "4096" to "128": a plan makes nothing less`:    raise("net.core.somaxconn", "4096", "128"),
		`from "60" to "90"`:                                  raise("net.ipv4.tcp_fin_timeout", "60", "90"),
		`"1024 65535" to "32768 60999"`:                      raise("net.ipv4.ip_local_port_range", "1024 65535", "32768 60999"),
		"(txqueuelen of eth0): it is called":                 called(change(device, "1000", "2000"), "txqueuelen of eth1"),
		"(soft descriptor limit of process 77)":              called(change(soft, "1024", "2048"), "soft descriptor limit of nginx (pid 78)"),
		"(accept queue of 0.0.0.0:80 (pid 77))":              called(change(queue, "5", "50"), "accept queue of 0.0.0.0:80, nginx (pid 7)"),
	} {
		text, err := json.Marshal(plan.Plan{Schema: plan.Schema, Host: here.Host, Changes: []plan.Change{c}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ReadPlan(bytes.NewReader(text)); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s from %s to %s: %v, want %q", c.Setting, c.From, c.To, err, want)
		}
	}
	for _, c := range []plan.Change{
		called(change(soft, "1024", "2048"), "soft descriptor limit of nginx (pid 77)"), called(change(hard, "1024", "2048"), "hard descriptor limit of pid 77"),
		called(change(queue, "5", "50"), "accept queue of 0.0.0.0:80, a (pid 1) (pid 77)"), change(device, "1000", "2000"),
	} {
		if err := admitChange(c); err != nil {
			t.Errorf("%s: %v", c.Setting, err)
		}
	}
}

// What plan makes of the recorded hosts is admitted; Check would miss the start times of their processes.
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
		works := []limit.Workload{{}, {Outbound: []limit.Goal{{Subject: "198.51.100.1:443", Held: 40_000, PerSecond: 2_000}}}}
		for _, row := range s.Read().Rows(host.ListenerKind) {
			works = append(works, limit.Workload{Inbound: []limit.Goal{{Subject: row.Name(), Held: 200_000, Burst: 20_000}}})
		}
		for i, w := range works {
			p, err := plan.Make(s, w, plan.Options{ToMax: i == 0})
			if err != nil {
				continue // a member of a group is no listener's name
			}
			changes += len(p.Changes)
			if err := admit(p); err != nil {
				t.Errorf("%s, %+v: %v", name, w, err)
			}
		}
	}
	if changes < 50 {
		t.Errorf("only %d changes were looked at", changes)
	}
}
