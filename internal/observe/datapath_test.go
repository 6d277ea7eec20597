package observe

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/linux/link"
)

// What people pasted of "ethtool -S", and what is kept of it.
func TestAllowancesOfReports(t *testing.T) {
	for _, c := range []struct{ report, driver, text, want string }{
		{"https://github.com/SlideRuleEarth/sliderule/issues/518", "ena", `
     total_resets: 0
     interface_up: 1
     bw_in_allowance_exceeded: 3241329
     bw_out_allowance_exceeded: 530
     pps_allowance_exceeded: 784
     conntrack_allowance_exceeded: 0
     linklocal_allowance_exceeded: 0
     conntrack_allowance_available: 615471
     ena_srd_mode: 0
`, "index=3 driver=ena bw_in_allowance_exceeded=3241329 bw_out_allowance_exceeded=530 " +
			"conntrack_allowance_available=615471 conntrack_allowance_exceeded=0 " +
			"linklocal_allowance_exceeded=0 pps_allowance_exceeded=784"},
		{"https://github.com/isc-projects/ethq/issues/15", "ena", `
     tx_timeout: 0
     queue_0_tx_cnt: 2005711
     queue_0_rx_cnt: 9300271
`, "index=3 driver=ena"},
		// netdev, the series "virtio-net: support device stats" (2024), cover letter
		{"netdev", "virtio_net", `
     rx0_hw_packets: 2179409
     rx0_hw_ratelimit_packets: 3
     rx1_hw_ratelimit_packets: 4
     rx_hw_ratelimit_packets: 7
     rx0_hw_ratelimit_bytes: 0
     tx0_hw_ratelimit_bytes: 9
     tx0_ratelimit_packets: 1
`, "index=3 driver=virtio_net rx_ratelimit_bytes=0 rx_ratelimit_packets=7 " +
			"tx_ratelimit_bytes=9 tx_ratelimit_packets=1"},
	} {
		x := link.Statistics{Driver: c.driver, Counters: map[string]uint64{}}
		for line := range strings.Lines(c.text) {
			name, value, ok := strings.Cut(strings.TrimSpace(line), ": ")
			n, err := strconv.ParseUint(value, 10, 64)
			if ok && err == nil {
				x.Counters[name] = n
			}
		}
		have := allowanceFields(link.Device{Index: 3}, x).String()
		if have != c.want {
			t.Errorf("%s:\nhave %s\nwant %s", c.report, have, c.want)
		}
	}
}

// The names that Cilium and Calico give their maps, as the kernel cuts them; and others'.
func TestDatapathNames(t *testing.T) {
	for name, want := range map[string]bool{
		"cilium_ct4_glob": true, "cilium_ct_any4_": true, "cilium_snat_v4_": true,
		"cali_v4_ct": true, "cali_v4_ct3": true, "cali_v6_ct2": true,
		"cilium_lb4_serv": false, "cali_v4_nat_fe3": false, "ct4_global": false, "": false,
		"my_cilium_ct4": false,
	} {
		if have := datapathMaps.MatchString(name); have != want {
			t.Errorf("%q is one: %v", name, have)
		}
	}
}

// A broken os-release is a reason, and costs nothing else.
func TestBrokenOSRelease(t *testing.T) {
	const nobody = "! os-release does not say which distribution it is of"
	for text, want := range map[string]string{
		"ID=debian\nVERSION_ID=\"12\"\n": "debian 12",
		"\x00\xff\n":                     nobody,
		"":                               nobody,
		strings.Repeat("ID=a\n", 1<<18):  "! more than 1 MiB",
	} {
		top := t.TempDir()
		for _, dir := range []string{"proc", "etc"} {
			if err := os.Mkdir(filepath.Join(top, dir), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(filepath.Join(top, "etc/os-release"), []byte(text),
			0o644); err != nil {
			t.Fatal(err)
		}
		s, err := Observe(context.Background(), Options{Root: filepath.Join(top, "proc")})
		if err != nil {
			t.Fatal(err)
		}
		r, _ := s.Lookup(host.System("os"))
		have := r.Text
		if r.Err != "" {
			have = "! " + r.Err
		}
		if !strings.HasPrefix(have, want) {
			t.Errorf("%.40q: %q, want %q", text, have, want)
		}
	}
}
