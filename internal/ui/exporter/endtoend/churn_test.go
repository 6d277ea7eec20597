//go:build linux

package endtoend

import (
	"net/http"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/maxconn/maxconn/internal/lab"
)

// Destinations that change all the time, thousands of them: no more series than allowed, few that
// come and go, what is left out is counted, and memory stays flat. MAXCONN_LONG=1h is how long a
// run by hand goes on.
func TestChurnIsFlat(t *testing.T) {
	l, server, client := inside(t)
	length := 20 * time.Second
	if text := os.Getenv("MAXCONN_LONG"); text != "" {
		var err error
		length, err = time.ParseDuration(text)
		must(t, err)
	}
	g, _, err := server.Listen(lab.ListenSpec{Addr: netip.MustParseAddrPort("0.0.0.0:8080"),
		Backlog: 4096})
	must(t, err)
	must(t, server.Serve(g, lab.CloseFirst))
	c, address := exporting(t, "--netns", l.NetNS())
	u := &usage{pid: c.Process.Pid}
	var open []lab.Group
	next := uint32(127<<24 | 1<<16)
	churn := func() {
		next++
		to := netip.AddrFrom4([4]byte{127, byte(next >> 16), byte(next >> 8), byte(next)})
		out, err := client.Connect(lab.ConnectSpec{To: netip.AddrPortFrom(to, 8080)})
		must(t, err)
		if open = append(open, out.Group); len(open) > 1000 {
			_, err := client.Close(open[0], lab.CloseSpec{})
			must(t, err)
			open = open[1:]
		}
	}
	shown := map[string]bool{}
	var third int64
	begun := time.Now()
	for end := begun.Add(length); time.Now().Before(end); {
		for range 500 {
			churn()
		}
		_, text := get(t, http.DefaultClient, "http://"+address+"/metrics")
		if n := strings.Count(text, "\nmaxconn_"); n > 5000 {
			t.Fatalf("%d series", n)
		}
		for line := range strings.Lines(text) {
			if strings.HasPrefix(line, "maxconn_destination_connections{") &&
				strings.Contains(line, `state="established"`) {
				shown[line[:strings.LastIndexByte(line, ' ')]] = true
			}
		}
		if time.Since(begun) > length/3 && third == 0 {
			u.end(t)
			third = u.memory
		}
	}
	await(t, 70*time.Second, "destinations are left out", func() bool {
		_, text := get(t, http.DefaultClient, "http://"+address+"/metrics")
		n, ok := value(text, `maxconn_rows_left_out{table="destinations"}`)
		return ok && n > 100
	})
	u.end(t)
	tried := int(next - (127<<24 | 1<<16))
	t.Logf("%d destinations in %v, %d shown; %d MB after a third, %d MB at the end", tried,
		length, len(shown), third>>20, u.memory>>20)
	if most := 64 + int(length/(15*time.Minute))*64; len(shown) > most {
		t.Errorf("%d destinations have made series, want at most %d", len(shown), most)
	}
	if u.memory > 64<<20 || u.memory > third+8<<20 {
		t.Errorf("it grows from %d MB to %d MB", third>>20, u.memory>>20)
	}
}

// An ordinary user sees less, and is told so: nothing that is not known is 0.
func TestOrdinaryUser(t *testing.T) {
	if testing.Short() {
		t.Skip("whole programs")
	}
	if os.Geteuid() != 0 {
		t.Skip("to become another user takes root")
	}
	setpriv := tool(t, "setpriv")
	_, said := start(t, setpriv, "--reuid=65534", "--regid=65534", "--clear-groups", program,
		"exporter", "--all-netns", "--listen", "127.0.0.1:0")
	var address string
	await(t, 20*time.Second, "it has surveyed", func() bool {
		_, after, _ := strings.Cut(said(), "http://")
		address, _, _ = strings.Cut(after, "/metrics")
		return strings.Contains(said(), "a survey takes")
	})
	_, text := get(t, http.DefaultClient, "http://"+address+"/metrics")
	if n, ok := value(text, `maxconn_unreadable_facts{reason="permission"}`); !ok || n == 0 {
		t.Errorf("%v facts could not be read, want some", n)
	}
	if !strings.Contains(text, `maxconn_verdict_info{netns="host",verdict="unknown"} 1`) {
		t.Errorf("the verdict is not unknown:\n%s", text)
	}
}
