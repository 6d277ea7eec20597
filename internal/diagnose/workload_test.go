package diagnose

import (
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/maxconn/maxconn/internal/limit"
)

// What takes a connection to an address: the socket of that very address, else the one of any
// address (inet_hashtables.c compute_score).
func TestGoalFindsTheListener(t *testing.T) {
	const only6 = "[::]:443 only6"
	for _, c := range []struct{ listeners, goal, want string }{
		{"0.0.0.0:443 [::]:443 0.0.0.0:80", ":443", "0.0.0.0:443 [::]:443"},
		{"0.0.0.0:443 [::]:443 0.0.0.0:80", "443", "0.0.0.0:443 [::]:443"},
		{"0.0.0.0:443 [::]:443 0.0.0.0:80", "0.0.0.0:443", "0.0.0.0:443"},
		{"0.0.0.0:443 [::]:443 0.0.0.0:80", "127.0.0.1:443", "0.0.0.0:443"},
		{"0.0.0.0:443 [::]:443 0.0.0.0:80", "[::1]:443", "[::]:443"},
		{"0.0.0.0:443 [::]:443 0.0.0.0:80", ":44", ""},
		{"0.0.0.0:443 127.0.0.1:443", "127.0.0.1:443", "127.0.0.1:443"},
		{"0.0.0.0:443 127.0.0.1:443", "10.0.0.1:443", "0.0.0.0:443"},
		{"0.0.0.0:443 127.0.0.1:443", "0.0.0.0:443", "0.0.0.0:443"},
		{"[::]:443", "127.0.0.1:443", "[::]:443"},
		{"[::]:443", "0.0.0.0:443", "[::]:443"},
		{"[::]:443", "[::]:443", "[::]:443"},
		{"[::]:443", "[::ffff:127.0.0.1]:443", "[::]:443"},
		{only6, "127.0.0.1:443", ""},
		{only6, "0.0.0.0:443", ""},
		{only6, "[::1]:443", "[::]:443"},
		{"127.0.0.1:443", "0.0.0.0:443", "127.0.0.1:443"},
		{"127.0.0.1:443", "10.0.0.1:443", ""},
		{"127.0.0.1:443", "[::]:443", ""},
		{"0.0.0.0:443", "[::1]:443", ""},
		{"x", "x", "x"},
		{"x", "y", ""},
	} {
		var flows []flow
		for _, name := range strings.Fields(c.listeners) {
			if name == "only6" {
				flows[len(flows)-1].only6 = true
				continue
			}
			flows = append(flows, flow{listener: name})
		}
		var got []string
		for _, f := range newListeners(flows).of(c.goal) {
			got = append(got, f.listener)
		}
		if have := strings.Join(got, " "); have != c.want {
			t.Errorf("%s of %s: %q, want %q", c.goal, c.listeners, have, c.want)
		}
	}
}

// Every goal has a verdict with its reason, and the whole is no better than the worst of them.
func TestEveryGoalIsJudged(t *testing.T) {
	const stalled = `
listener 0.0.0.0:90 = family=4 queue=6 limit=5 drops=7 pid=5 process=web oldest=10s youngest=10s
`
	rate := limit.Goal{Subject: "10.0.0.9:5432", PerSecond: 471}
	for name, c := range map[string]struct {
		facts string
		w     limit.Workload
		asked []string
		want  Verdict
		rows  []string // verdict, limit and a pattern for why
	}{
		"fits": {shop, limit.Workload{Inbound: []limit.Goal{held(":80", 100)}}, nil, Holds,
			[]string{`holds process-files 1,000 are possible`}},
		"two of one process do not fit, a third goal does": {shop,
			limit.Workload{Inbound: []limit.Goal{held(":80", 600), held(":81", 500),
				held(":82", 5)}}, nil, Binds,
			[]string{`does-not-hold process-files wanted 1,100`,
				`does-not-hold process-files wanted 1,100`,
				`holds process-files at most`}},
		"nobody listens": {shop, limit.Workload{Inbound: []limit.Goal{held(":99", 5),
			held(":80", 5)}}, nil, Unknown,
			[]string{`unknown  nothing listens on :99`, `holds process-files .`}},
		"each measure by itself": {shop, limit.Workload{Inbound: []limit.Goal{
			{Subject: ":80", Held: 5, Burst: 5000}}}, nil, Binds,
			[]string{`holds process-files .`, `does-not-hold accept-queue possible 129`}},
		"a rate out": {shop, limit.Workload{Outbound: []limit.Goal{rate}}, nil, Binds,
			[]string{`does-not-hold time-wait wanted 471`}},
		"nobody accepts": {shop + stalled,
			limit.Workload{Inbound: []limit.Goal{held(":90", 5)}}, nil, Binds,
			[]string{`does-not-hold accept-queue does not accept`}},
		"whose process is not seen": {strings.ReplaceAll(shop, " pid=5 process=web", ""),
			limit.Workload{Inbound: []limit.Goal{held(":80", 5)}}, nil, Unknown,
			[]string{`unknown process-files could not be seen`}},
		"without the ports": {strings.ReplaceAll(shop,
			"sysctl net.ipv4.ip_local_port_range = 32768 60999", ""),
			limit.Workload{Outbound: []limit.Goal{rate}}, nil, Unknown,
			[]string{`unknown \S+ it could not be judged: .*ip_local_port_range`}},
		"a limit that says nothing of it": {shop,
			limit.Workload{Inbound: []limit.Goal{held(":80", 5)}},
			[]string{"time-wait"}, Unknown, []string{`unknown  no limit that was asked for bounds it`}},
	} {
		t.Run(name, func(t *testing.T) {
			taken := idle
			if !strings.Contains(c.facts, "ip_local_port_range") {
				taken = snapshot
			}
			r := Check(taken(t, c.facts), Options{Workload: c.w, Limits: c.asked})
			if r.Verdict != c.want || len(r.Workload) != len(c.rows) {
				t.Fatalf("%s, want %s; %+v", r.Verdict, c.want, r.Workload)
			}
			for i, j := range r.Workload {
				have := string(j.Verdict) + " " + j.Limit + " " + j.Why
				head, why, _ := strings.Cut(c.rows[i], " ")
				id, why, _ := strings.Cut(why, " ")
				want := "^" + head + " " + id + " .*" + why
				if !regexp.MustCompile(want).MatchString(have) {
					t.Errorf("%s: %q, want %s", j.Goal, have, want)
				}
			}
		})
	}
}

// Goals are said back in the words of the flags.
func TestGoalText(t *testing.T) {
	r := Check(idle(t, shop), Options{Workload: limit.Workload{
		Inbound:  []limit.Goal{{Subject: ":80", Held: 5, Burst: 6}},
		Outbound: []limit.Goal{{Subject: "10.0.0.9:1", PerSecond: 7}}}})
	var got []string
	for _, j := range r.Workload {
		got = append(got, j.Direction+" "+j.Goal)
	}
	want := []string{"inbound :80=5", "inbound :80=6@once", "outbound 10.0.0.9:1=7/s"}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +have)\n%s", d)
	}
}
