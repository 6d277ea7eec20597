package limit

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/knob"
)

// distributionKernels are what is true of the kernels of distributions as they are installed; the
// recorded hosts are testdata/hosts/distributions. Sources: for tcp_tw_reuse and its delay,
// net/ipv4/tcp_ipv4.c tcp_sk_init and tcp_twsk_unique of 4.14.5, 4.18-rt, EL8's 4.18.0, 4.19.13,
// 5.7.14, 6.1.20; 79e9fed46038 is in 4.18 and cca9bab1b72c in 4.19 and EL8. For one half-open
// connection more, 3479c7549fb1 and the stable kernels it went into (syn_queue.go). For routes,
// af6d10345ca7 (CVE-2023-52340) and the stable kernels it went into (knob.UnboundedRoutes);
// measured with Debian's 5.10.223 and 6.1.176, which have it and do not tell, and with 6.12.117.
var distributionKernels = map[string]struct {
	is      string // the distribution by the release
	carries bool   // features of newer kernels
	reuse   string // the default of tcp_tw_reuse
	rate    int64  // new connections a second to one destination
	delay   int64  // ms until tcp_tw_reuse=1 takes a port over
	oneMore host.Answer
	routes  host.Answer // no bound on cached routes of IPv6
}{
	"el7":          {"el7", true, "0", 470, 2000, host.Untold, host.Untold},
	"el8":          {"el8", true, "2", 470, 1000, host.Untold, host.Untold},
	"el9":          {"el9", true, "2", 470, 1000, host.Untold, host.Untold},
	"el10":         {"el10", true, "2", 470, 1000, host.Untold, host.Yes},
	"ubuntu-18.04": {"ubuntu-18.04", false, "0", 470, 2000, host.Untold, host.Untold},
	"ubuntu-20.04": {"ubuntu-20.04", false, "2", 470, 1000, host.Untold, host.Untold},
	"ubuntu-22.04": {"ubuntu-22.04", false, "2", 470, 1000, host.Untold, host.Untold},
	"ubuntu-24.04": {"ubuntu-24.04", false, "2", 470, 1000, host.Untold, host.Yes},
	"ubuntu-26.04": {"ubuntu-26.04", false, "2", 470, 1000, host.Yes, host.Yes},
	"debian-10":    {"debian-10", false, "2", 470, 1000, host.Untold, host.Untold},
	"debian-11":    {"debian-11", false, "2", 470, 1000, host.Untold, host.Untold},
	"debian-12":    {"debian-12", false, "2", 470, 1000, host.Untold, host.Untold},
	"debian-13":    {"debian-13", false, "2", 470, 1000, host.Yes, host.Yes},
	"sles-12":      {"sles-12", true, "0", 470, 2000, host.Untold, host.Untold},
	"sles-15":      {"sles-15", true, "2", 470, 1000, host.Untold, host.Untold},
	"sles-15-sp6":  {"sles-15", true, "2", 470, 1000, host.Untold, host.Yes},
	"amazon-2":     {"amazon-2", false, "2", 470, 1000, host.No, host.Yes},
	"amazon-2023":  {"amazon-2023", false, "2", 470, 1000, host.No, host.Yes},
}

func TestDistributionKernels(t *testing.T) {
	files, err := filepath.Glob("../../testdata/hosts/distributions/*.txt")
	if err != nil || len(files) != len(distributionKernels) {
		t.Fatalf("%d hosts, %d rows, %v", len(files), len(distributionKernels), err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".txt")
		t.Run(name, func(t *testing.T) { judgeDistribution(t, name, file) })
	}
}

func judgeDistribution(t *testing.T, name, file string) {
	want, listed := distributionKernels[name]
	text, err := os.ReadFile(file)
	if err != nil || !listed {
		t.Fatalf("in the table: %v; %v", listed, err)
	}
	s, err := host.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	r := s.Read()
	kernel := r.Kernel()
	if kernel.Distribution().String() != want.is || kernel.Has(oneMore) != want.oneMore {
		t.Errorf("%s is of %s, and tells %d of 3479c7549fb1; want %s, %d", kernel,
			kernel.Distribution(), kernel.Has(oneMore), want.is, want.oneMore)
	}
	if have := kernel.Has(knob.UnboundedRoutes); have != want.routes {
		t.Errorf("tells %d of af6d10345ca7, want %d", have, want.routes)
	}
	if carries := kernel.Backports() != ""; carries != want.carries {
		t.Errorf("carries backports: %v, want %v", carries, want.carries)
	}
	for _, k := range []string{"net.ipv4.tcp_tw_reuse", "net.core.somaxconn",
		"net.ipv4.tcp_timestamps"} {
		d, fixed := knob.Lookup(k).Default.Fixed(kernel)
		if have := r.Optional(host.Sysctl(k)); have != "" && (!fixed || d != have) {
			t.Errorf("the default of %s is %s, the host has %s", k, d, have)
		}
	}
	if have := r.Optional(reuseMode); have != want.reuse {
		t.Errorf("tcp_tw_reuse is %s, want %s", have, want.reuse)
	}
	gauges, r := Find("time-wait").Evaluate(s, Workload{})
	if r.Err() != nil || gauges[0].Ceiling != want.rate {
		t.Fatalf("%d connections/s, want %d (%v)", gauges[0].Ceiling, want.rate, r.Err())
	}
	s = s.With(host.Setting{Fact: reuseMode, Want: "1"})
	gauges, r = Find("time-wait").Evaluate(s, Workload{})
	for _, step := range gauges[0].Steps {
		if step.ID == ReuseDelay && step.Value != want.delay {
			t.Errorf("takes a port over after %d ms, want %d", step.Value, want.delay)
		}
	}
	if fast := 28232 * 1000 / want.delay; r.Err() != nil || gauges[0].Ceiling != fast {
		t.Errorf("%d connections/s with tcp_tw_reuse=1, want %s (%v)", gauges[0].Ceiling,
			strconv.FormatInt(fast, 10), r.Err())
	}
}
