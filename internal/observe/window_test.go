package observe

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/maxconn/maxconn/internal/host"
)

// Rows of a window are those of one socket, however the group of listeners changes.
func TestAligned(t *testing.T) {
	before, after := host.Snapshot{}, host.Snapshot{}
	set := func(s *host.Snapshot, kind host.Kind, name, text string) {
		s.Set(host.Fact{Kind: kind, Name: name}, text)
	}
	set(&before, host.ListenerKind, "0.0.0.0:80", "drops=100 inode=1")  // will be gone
	set(&before, host.ListenerKind, "0.0.0.0:80~2", "drops=10 inode=2") // will be the first
	// will be another socket
	set(&before, host.ListenerKind, "0.0.0.0:443", "drops=50 inode=3")
	set(&before, host.ListenerKind, "127.0.0.1:22", "drops=1 inode=4") // stays
	set(&before, host.ListenerKind, "127.0.0.1:23", "drops=1 inode=0") // cannot be told
	set(&before, host.LinkKind, "eth0", "index=2 rx_dropped=7")        // will be renamed
	set(&before, host.LinkKind, "eth1", "index=3 rx_dropped=70")       // will be made anew
	set(&before, host.CounterKind, "TcpExt.ListenDrops", "161")
	before.Miss(host.All(host.ListenerKind), "2 further ones")
	set(&after, host.ListenerKind, "0.0.0.0:80", "drops=13 inode=2")
	set(&after, host.ListenerKind, "0.0.0.0:80~2", "drops=4 inode=9") // new
	set(&after, host.ListenerKind, "0.0.0.0:443", "drops=60 inode=8")
	set(&after, host.ListenerKind, "127.0.0.1:22", "drops=3 inode=4")
	set(&after, host.ListenerKind, "127.0.0.1:23", "drops=9 inode=0")
	set(&after, host.LinkKind, "wan0", "index=2 rx_dropped=9")
	set(&after, host.LinkKind, "eth1", "index=4 rx_dropped=75")
	set(&after, host.CounterKind, "TcpExt.ListenDrops", "191")
	window := host.Window(aligned(before, after), after, 10*time.Second)
	moved := map[string]string{}
	for _, f := range window.Facts() {
		if r, _ := window.Lookup(f); f.Kind == host.MovedKind {
			moved[f.Name] = r.Text
		}
	}
	want := map[string]string{
		"listener/0.0.0.0:80/drops": "3", "listener/127.0.0.1:22/drops": "2",
		"link/wan0/rx_dropped": "2", "counter/TcpExt.ListenDrops": "30",
	}
	if d := cmp.Diff(want, moved); d != "" {
		t.Errorf("moved (-want +have):\n%s", d)
	}
}

// A listener that was opened in the window has dropped in it whatever it has dropped, also where an
// earlier one had its name; of what host.Baseline keeps the same is known.
func TestOpenedInWindow(t *testing.T) {
	row := func(name, text string) (s host.Snapshot) {
		s.Set(host.Fact{Kind: host.ListenerKind, Name: name}, text)
		return s
	}
	before := row("0.0.0.0:80", "drops=100 inode=1")
	after := row("0.0.0.0:80", "drops=13 inode=2")
	moved := host.Fact{Kind: host.MovedKind, Name: "listener/0.0.0.0:80/drops"}
	for _, b := range []host.Snapshot{before, host.Baseline(before)} {
		if r, _ := Since(b, after, time.Second).Lookup(moved); r.Text != "13" {
			t.Errorf("moved by %q, want 13", r.Text)
		}
		b.Miss(host.All(host.ListenerKind), "3 further ones")
		for _, b := range []host.Snapshot{b, host.Baseline(b)} {
			if r, ok := Since(b, after, time.Second).Lookup(moved); ok {
				t.Errorf("moved by %q, and the listener may have been there",
					r.Text)
			}
		}
	}
}
