//go:build linux

package endtoend

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/maxconn/maxconn/internal/lab"
	"github.com/maxconn/maxconn/internal/linux/procfs"
)

// TestCost compares the exporter with node_exporter in one namespace of many sockets, both scraped
// once in 5 s: processor time, memory, the time of a scrape. It runs where MAXCONN_COST says how
// many sockets ("10000"), for MAXCONN_LONG (1m); scripts/bench-exporter.sh.
func TestCost(t *testing.T) {
	sockets, err := strconv.Atoi(os.Getenv("MAXCONN_COST"))
	if err != nil {
		t.Skip("MAXCONN_COST does not say how many sockets")
	}
	length := time.Minute
	if text := os.Getenv("MAXCONN_LONG"); text != "" {
		length, err = time.ParseDuration(text)
		must(t, err)
	}
	node, enter := tool(t, "prometheus-node-exporter"), tool(t, "nsenter")
	l, _, _ := inside(t)
	made := populate(t, l, sockets)
	c, address := exporting(t, "--netns", l.NetNS())
	const other = "127.0.0.1:9100" // inside, below what connect() chooses
	// It answers inside; what it reads of /proc/net is of the namespace then.
	n, _ := start(t, enter, "--net="+l.NetNS(), node, "--collector.tcpstat",
		"--web.listen-address="+other)
	t.Logf("%d sockets, %v", made, length)
	ours, theirs := &usage{pid: c.Process.Pid}, &usage{pid: n.Process.Pid}
	client := &http.Client{}
	ask := func() {
		begun := time.Now()
		code, text := get(t, client, "http://"+address+"/metrics")
		ours.scrapes = append(ours.scrapes, time.Since(begun))
		if code != http.StatusOK || !strings.Contains(text, "maxconn_limit_used") {
			t.Fatalf("status %d: %s", code, text)
		}
		out, err := exec.Command(enter, "--net="+l.NetNS(), "curl", "-s", "-o", "/dev/null",
			"-w", "%{time_total}", "http://"+other+"/metrics").Output()
		must(t, err)
		seconds, err := strconv.ParseFloat(string(out), 64)
		must(t, err)
		theirs.scrapes = append(theirs.scrapes, time.Duration(seconds*float64(time.Second)))
	}
	time.Sleep(5 * time.Second) // start-up is not what is compared
	ask()
	ours.begin(t)
	theirs.begin(t)
	for end := time.Now().Add(length); time.Now().Before(end); time.Sleep(5 * time.Second) {
		ask()
	}
	for name, u := range map[string]*usage{"maxconn": ours, "node_exporter": theirs} {
		u.end(t)
		slices.Sort(u.scrapes)
		fmt.Printf("%-14s %7d sockets: %.2f %% of a processor, at most %d MB, scrape "+
			"median %.1f ms, longest %.1f ms\n", name, made, 100*u.share,
			u.memory>>20, ms(u.scrapes[len(u.scrapes)/2]),
			ms(u.scrapes[len(u.scrapes)-1]))
	}
	if ours.share > 0.01 || ours.memory > 64<<20 {
		t.Errorf("%.2f %% of a processor and %d MB, want less than 1 %% and 64 MB",
			100*ours.share, ours.memory>>20)
	}
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// usage is what a process takes.
type usage struct {
	pid     int
	since   time.Time
	cpu     time.Duration
	share   float64 // of one processor
	memory  int64   // VmHWM, in bytes
	scrapes []time.Duration
}

func (u *usage) begin(t *testing.T) { u.since, u.cpu = time.Now(), u.spent(t) }

func (u *usage) end(t *testing.T) {
	t.Helper()
	u.share = float64(u.spent(t)-u.cpu) / float64(time.Since(u.since))
	p, err := procfs.Root("").Open(u.pid)
	must(t, err)
	defer p.Close()
	text, err := p.Read("status")
	must(t, err)
	_, after, _ := strings.Cut(string(text), "VmHWM:")
	var kb int64
	_, err = fmt.Sscan(after, &kb)
	must(t, err)
	u.memory = kb << 10
}

// spent is the processor time so far (proc_pid_stat(5), utime and stime in clock ticks of 10 ms).
func (u *usage) spent(t *testing.T) time.Duration {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", u.pid))
	must(t, err)
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	user, err := strconv.Atoi(fields[11])
	must(t, err)
	system, err := strconv.Atoi(fields[12])
	must(t, err)
	return time.Duration(user+system) * 10 * time.Millisecond
}

// populate makes sockets, half of them of servers, and says how many.
func populate(t *testing.T, l *lab.Lab, want int) (made int) {
	t.Helper()
	const each = 15000 // connections of one process, below the usual hard limit
	for i := 0; made < want; i++ {
		server, err := l.Spawn(fmt.Sprintf("server%d", i))
		must(t, err)
		client, err := l.Spawn(fmt.Sprintf("client%d", i))
		must(t, err)
		port := uint16(10000 + i)
		must(t, server.Serve(listening(t, server, port, 4096), lab.Hold))
		n := min(each, (want-made+1)/2)
		out, err := client.Connect(lab.ConnectSpec{To: at(port), N: n, Within: time.Minute})
		must(t, err)
		if made += 2 * out.Count; out.Count < n {
			t.Logf("%d of %d connections: %v", out.Count, n, out.Errors)
			return made
		}
	}
	return made
}
