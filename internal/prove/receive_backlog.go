package prove

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/lab"
	"github.com/maxconn/maxconn/internal/limit"
	"github.com/maxconn/maxconn/internal/linux/procfs"
)

// The burst of this experiment is one large packet that a router must cut: the fragments
// leave in one run of the receive softirq, so that all of them wait in the input queue of
// the CPU before the first is looked at. With the smallest MTU of IPv4 a packet is cut into
// up to 1365.
const (
	smallestMTU      = 68
	fragmentData     = smallestMTU - 20 // bytes of a packet without its header
	mostFragments    = 65515 / fragmentData
	udpHeader        = 8
	beyondTheBacklog = 300
)

var _ = register(Claim{
	ID:    "receive-backlog-length",
	Limit: "receive-backlog",
	Says: "a CPU's input queue takes netdev_max_backlog + 1 packets that come at once " +
		"through netif_rx(); it drops the others, and softnet_stat counts them",
	Source: "net/core/dev.c enqueue_to_backlog",
	Unit:   "packets",
	Takes:  2 * time.Second,
	Busy:   Waits,
	Trial:  func(b *Bench) Outcome { return backlogTrial(b, hostBacklog(b)) },
})

// hostBacklog is the queue's length, which a namespace of its own does not show.
func hostBacklog(b *Bench) int {
	text, err := os.ReadFile("/proc/sys/net/core/netdev_max_backlog")
	if err != nil {
		b.CannotRun("net.core.netdev_max_backlog is shown in the initial network " +
			"namespace only")
	}
	n := must(strconv.Atoi(strings.TrimSpace(string(text))))
	if n+beyondTheBacklog > mostFragments {
		b.CannotRun(fmt.Sprintf(
			"netdev_max_backlog is %d here, and no packet has more than %d fragments",
			n, mostFragments))
	}
	return n
}

// backlogTrial sends one burst that is too long for the queue, and one that fits.
func backlogTrial(b *Bench, length int) Outcome {
	c := b.cutter()
	before, elsewhere := c.far.Snapshot(), c.here.Snapshot()
	g := c.far.GaugeOf(
		before.With(host.Setting{Fact: host.Sysctl("net.core.netdev_max_backlog"),
			Want: fmt.Sprint(length)}), "receive-backlog", "")
	packets := length + beyondTheBacklog
	passed, whole := c.undisturbed(packets, length+1)
	o := Exactly(stepOf(g, limit.QueueLength)+1, passed)
	o.Formula = fmt.Sprintf("netdev_max_backlog + 1 = %d packets of %d that come at once",
		length+1, packets)
	o.Expect("datagrams that arrived whole", 0, whole)
	window := host.Window(before, c.far.Snapshot(), time.Second)
	o.Expect("check --for sees packets dropped", true,
		c.far.GaugeOf(window, "receive-backlog", "").Refusing)
	window = host.Window(elsewhere, c.here.Snapshot(), time.Second)
	o.Without("check --for blames the sender's namespace", false,
		c.here.GaugeOf(window, "receive-backlog", "").Refusing)

	fits := length - length/10
	passed, whole = c.burst(fits, fits)
	o.Without("packets of a burst that fits", fits, passed)
	o.Without("datagrams that arrived whole", 1, whole)
	return o
}

// cutter is a sender, a router that has to cut what the sender sends, and who gets the pieces.
type cutter struct {
	here, far World
	sender    *lab.Actor
	to        netip.AddrPort
}

func (b *Bench) cutter() cutter {
	here, router := b.joined(1, 0)
	far := here.Beside()
	const large = 65535
	b.Must(router.Wire(far.Lab, lab.Cable{
		Here: lab.Plug{Device: "narrow",
			Addresses: []netip.Prefix{netip.MustParsePrefix("10.78.0.1/24")}},
		There: lab.Plug{Device: "narrow",
			Addresses: []netip.Prefix{netip.MustParsePrefix("10.78.0.2/24")}},
	}))
	b.Must(errors.Join(here.MTU("cable", large), router.MTU("cable", large),
		router.MTU("narrow", smallestMTU),
		here.Route(netip.MustParsePrefix("10.78.0.0/24"), cablePrefix(2).Addr())))
	router.Sysctl("net.ipv4.ip_forward", "1")
	here.Sysctl("net.ipv4.ip_no_pmtu_disc", "1") // else packets say that they must not be cut
	far.Sysctl("net.ipv4.ip_forward", "0")
	c := cutter{here, far, here.Actor("sender"), netip.MustParseAddrPort("10.78.0.2:9")}
	// The first packet asks for the hardware addresses on the way.
	c.send(1)
	if !b.Await(settling, func() bool { return far.Counter("Udp.NoPorts") == 1 }) {
		b.CannotRun("no packet came through the router")
	}
	return c
}

func (c cutter) send(bytes int) {
	if must(c.sender.SendDatagrams(lab.DatagramSpec{To: c.to, N: 1, Size: bytes})) != 1 {
		c.far.b.Must(fmt.Errorf("a datagram of %d bytes could not be sent", bytes))
	}
}

// undisturbed sends bursts until one has the queue for itself: it belongs to a CPU, not to
// a namespace, and what others have in it leaves less room. No burst can have more of it
// than there is.
func (c cutter) undisturbed(packets, length int) (passed, whole int64) {
	const tries = 5
	var others int64
	for range tries {
		before := softnet(procfs.SoftnetProcessed)
		if passed, whole = c.burst(packets, length); passed >= int64(length) {
			return passed, whole
		}
		if others = int64(softnet(procfs.SoftnetProcessed)-before) -
			passed; others < passed/100 {
			return passed, whole // nobody else was there
		}
	}
	c.far.b.NotQuiet(
		"others had %d packets in the input queues of this host meanwhile, and the "+
			"burst got %d places", others, passed)
	return 0, 0
}

// softnet is the sum of a column of /proc/net/softnet_stat over the CPUs of the host.
func softnet(column procfs.SoftnetColumn) (n uint64) {
	for _, row := range must(procfs.ParseSoftnet(must(os.ReadFile("/proc/net/softnet_stat")))) {
		v, _ := row.Column(column)
		n += v
	}
	return n
}

// burst sends a datagram that is cut into that many packets and says how many of them came,
// and how many datagrams were whole. It waits for as many as there should be at least: the
// softirq may run after the call that sends has returned.
func (c cutter) burst(packets, least int) (passed, whole int64) {
	before, done := c.far.Counter("Ip.ReasmReqds"), c.far.Counter("Ip.ReasmOKs")
	c.send(packets*fragmentData - udpHeader)
	count := func() int64 { return c.far.Counter("Ip.ReasmReqds") - before }
	c.far.b.Await(settling, func() bool { return count() >= int64(least) })
	c.far.b.Pause(50 * time.Millisecond) // for more than there should be
	return count(), c.far.Counter("Ip.ReasmOKs") - done
}

var _ = register(Claim{
	ID:    "netdev-max-backlog",
	Limit: "receive-backlog",
	Says: "the next packet sees a change of netdev_max_backlog: the input queue of a " +
		"CPU takes the new value + 1",
	Source:  "net/core/dev.c enqueue_to_backlog",
	Unit:    "packets",
	Takes:   2 * time.Second,
	Busy:    Alone,
	Machine: "net.core.netdev_max_backlog is one number for the host",
	Trial: func(b *Bench) Outcome {
		b.Machine("net.core.netdev_max_backlog=100")
		return backlogTrial(b, 100)
	},
})
