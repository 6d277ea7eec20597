package prove

import (
	"fmt"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/lab"
	"github.com/maxconn/maxconn/internal/limit"
)

// Beside makes another world, which a cable can join to this one; it ends with it.
func (w World) Beside() World { return World{must(w.Lab.Beside(w.b.ctx)), w.b} }

// Machine is the machine itself: for claims that no namespace can show. Settings are put
// back when the trial ends.
func (b *Bench) Machine(settings ...string) World {
	w := World{must(lab.Here(b.ctx)), b}
	b.later(w.Close)
	for _, s := range settings {
		key, value, _ := strings.Cut(s, "=")
		w.SetUntilDone(key, value)
	}
	return w
}

// SetUntilDone writes a setting of the machine until the trial ends.
func (w World) SetUntilDone(key, value string) {
	before := must(w.Value(key))
	w.b.later(func() error { return w.Set(key, strings.Join(strings.Fields(before), " ")) })
	w.b.Must(w.Set(key, value))
}

// joined are two worlds with a cable between them: here is 10.77.0.1 on "cable", there has
// 10.77.0.2 and as many further addresses.
func (b *Bench) joined(addresses, txQueueLen int) (here, there World) {
	here = b.World()
	there = here.Beside()
	c := lab.Cable{
		Here: lab.Plug{Device: "cable", Addresses: []netip.Prefix{cablePrefix(1)},
			TxQueueLen: txQueueLen},
		There: lab.Plug{Device: "cable"},
	}
	for i := range addresses {
		c.There.Addresses = append(c.There.Addresses, cablePrefix(2+i))
	}
	b.Must(here.Wire(there.Lab, c))
	return here, there
}

// cablePrefix numbers the addresses of the network between joined worlds.
func cablePrefix(i int) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 77, byte(i >> 8), byte(i)}), 16)
}

// halfOpen counts the handshakes that wait for their last ACK at a port: SYN_RECV in /proc/net/tcp.
func (w World) halfOpen(port uint16) (n int64) {
	text := string(must(os.ReadFile(fmt.Sprintf("/proc/%d/net/tcp", w.PID()))))
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) > 3 && f[3] == "03" &&
			strings.HasSuffix(f[1], fmt.Sprintf(":%04X", port)) {
			n++
		}
	}
	return n
}

// stepOf gives the value of a step of a gauge.
func stepOf(g limit.Gauge, id limit.StepID) int64 {
	for _, s := range g.Steps {
		if s.ID == id {
			return s.Value
		}
	}
	panic(abort{fmt.Errorf("%s of %s has no step %s", g.Limit.ID, g.Subject.Name, id)})
}

// since evaluates a limit on the window between a snapshot and now: half-open connections
// come and go, what moved stays.
func (w World) since(before host.Snapshot, id limit.ID, subject string) limit.Gauge {
	return w.GaugeOf(host.Window(before, w.Snapshot(), time.Second), id, subject)
}
