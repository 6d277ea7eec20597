package limit

import (
	"strings"
	"testing"

	"github.com/maxconn/maxconn/internal/host"
)

func TestIsLoopback(t *testing.T) {
	for address, want := range map[string]bool{
		"127.0.0.1": true, "127.8.9.1": true, "::1": true, "[::1]": true,
		"::ffff:127.0.0.1": true,
		"10.0.0.1":         false, "128.0.0.1": false, "[::ffff:10.0.0.1]": false,
		"fe80::1": false,
		"":        false,
	} {
		if isLoopback(address) != want {
			t.Errorf("%q is loopback: %v, want %v", address, !want, want)
		}
	}
}

// What is proposed for a wanted rate must be able to reach it, and no more settings than needed.
func TestLiftRate(t *testing.T) {
	const facts = `system kernel = 6.18.0
system bound-sockets = listed
sysctl net.ipv4.ip_local_port_range = 32768 60999
sysctl net.ipv4.ip_local_reserved_ports =
sysctl net.ipv4.tcp_tw_reuse = MODE
sysctl net.ipv4.tcp_tw_reuse_delay = 1000
sysctl net.ipv4.tcp_timestamps = STAMPS
ports bound =
ports listening =
`
	for _, c := range []struct {
		mode, stamps string
		need         int64
		want         string // settings
	}{
		{"2", "1", 1000, "ip_local_port_range"},
		{"2", "1", 5000, "tcp_tw_reuse"},
		{"2", "1", 40000, "ip_local_port_range tcp_tw_reuse"},
		{"2", "1", 100000, ""},
		{"0", "0", 5000, "tcp_timestamps tcp_tw_reuse"},
		{"1", "0", 5000, "tcp_timestamps"},
		{"1", "1", 40000, "ip_local_port_range"},
		{"1", "1", 100000, ""},
	} {
		text := strings.NewReplacer("MODE", c.mode, "STAMPS", c.stamps).Replace(facts)
		gauges, r := Find("time-wait").Evaluate(parseCase(t, []byte(text)), Workload{})
		if r.Err() != nil {
			t.Fatal(r.Err())
		}
		var have []string
		var settings []host.Setting
		for _, m := range gauges[0].Lift(c.need) {
			if m.Kind == BySetting {
				have = append(have, strings.TrimPrefix(m.Setting, "net.ipv4."))
				settings = append(settings,
					host.Setting{Fact: host.Sysctl(m.Setting), Want: m.To})
			}
		}
		lifted, _ := Find("time-wait").Evaluate(
			parseCase(t, []byte(text)).With(settings...), Workload{})
		if len(settings) > 0 && lifted[0].Ceiling < c.need {
			t.Errorf("tcp_tw_reuse=%s tcp_timestamps=%s: %v gives %d/s, want %d",
				c.mode, c.stamps, settings, lifted[0].Ceiling, c.need)
		}
		if got := strings.Join(have, " "); got != c.want {
			t.Errorf("tcp_tw_reuse=%s tcp_timestamps=%s, %d/s wanted: proposes %q, "+
				"want %q", c.mode, c.stamps, c.need, got, c.want)
		}
	}
}

// The quoted arithmetic.
func TestTimeWaitArithmetic(t *testing.T) {
	for text, want := range map[string]int64{"32768 60999": 470, "15000 61000": 766,
		"1024 65535": 1075} {
		var s host.Snapshot
		s.Set(host.Sysctl("net.ipv4.ip_local_port_range"), text)
		s.Set(host.Sysctl("net.ipv4.ip_local_reserved_ports"), "")
		s.Set(host.Ports("listening"), "")
		s.Set(reuseMode, "0")
		s.Set(kernelRelease, "6.18.0")
		gauges, r := Find("time-wait").Evaluate(s, Workload{})
		if r.Err() != nil || gauges[0].Ceiling != want {
			t.Errorf("range %s: %d connections/s, want %d (%v)", text,
				gauges[0].Ceiling, want, r.Err())
		}
	}
}
