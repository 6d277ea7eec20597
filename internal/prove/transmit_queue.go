package prove

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/lab"
	"github.com/maxconn/maxconn/internal/limit"
)

// crawl is the rate of a device that sends next to nothing, in bytes a second. Its token
// bucket (1600 bytes) lets one packet leave at once, the next more than 3 s later.
const (
	crawl      = 400
	packetData = 1400 // bytes of a datagram; 1442 with all headers
)

var _ = register(Claim{
	ID:    "txqueuelen",
	Limit: "transmit-queue",
	Says: "txqueuelen is the length of a device's queue only where its qdisc takes it " +
		"over, and pfifo does that when it is made",
	Source: "net/sched/sch_fifo.c __fifo_init",
	Unit:   "packets",
	Takes:  2 * time.Second,
	Busy:   Works,
	Trial: func(b *Bench) Outcome {
		const length, burst = 20, 100
		var predicted, waiting, drops int64
		b.Promptly(3*time.Second, func() time.Duration {
			q := b.slowDevice(length)
			q.use("pfifo")
			predicted = stepOf(q.here.Gauge("transmit-queue", "cable"),
				limit.QueueLength)
			start := time.Now()
			q.send(burst)
			row := q.queue("pfifo")
			waiting, drops = row.Count("backlog"), row.Count("drops")
			return time.Since(start)
		})
		o := Exactly(predicted, waiting)
		o.Formula = fmt.Sprintf(
			"txqueuelen of cable = %d, used by pfifo; %d packets came at once", length,
			burst)
		// The device had sent one before, or not: other packets take from the token
		// bucket too.
		o.ExpectThat("packets that the queue dropped",
			fmt.Sprintf("%d, or one less where one left at once", burst-length), drops,
			drops == burst-length || drops == burst-length-1)

		late := b.slowDevice(1000)
		late.use("pfifo")
		b.Must(late.here.TxQueueLen("cable", length))
		late.send(burst)
		o.Without("packets dropped when txqueuelen is lowered after pfifo was made", 0,
			late.queue("pfifo").Count("drops"))
		fair := b.slowDevice(length)
		if err := fair.here.Qdisc("cable", "fq_codel", crawl); err == nil {
			fair.send(burst)
			waiting := fair.queue("fq_codel").Count("backlog")
			o.WithoutThat("packets that wait in fq_codel, which takes no notice of "+
				"txqueuelen", fmt.Sprintf("more than %d", length), waiting,
				waiting > length)
		} else if !errors.Is(err, syscall.ENOENT) {
			b.Must(err)
		}
		return o
	},
})

// slowDevice is a sender on one side of a cable and an address that takes datagrams on the other.
type slowDevice struct {
	here   World
	sender *lab.Actor
	to     netip.AddrPort
}

func (b *Bench) slowDevice(txQueueLen int) slowDevice {
	here, there := b.joined(1, txQueueLen)
	// its own packets would take tokens; a kernel without IPv6 sends none
	here.Set("net.ipv6.conf.cable.disable_ipv6", "1")
	d := slowDevice{here, here.Actor("sender"), netip.AddrPortFrom(cablePrefix(2).Addr(), 9)}
	// The first packet asks who the other is; that answer must not wait in the slow queue.
	_, at, err := there.Actor("server").Listen(
		lab.ListenSpec{Addr: netip.AddrPortFrom(d.to.Addr(), 8080), Backlog: 1})
	b.Must(err)
	connect(d.sender, at, 1)
	return d
}

// use gives the device a queue that is emptied at a crawl.
func (d slowDevice) use(kind string) {
	err := d.here.Qdisc("cable", kind, crawl)
	if errors.Is(err, syscall.ENOENT) {
		d.here.b.CannotRun(fmt.Sprintf("this kernel lacks a qdisc: %v", err))
	}
	d.here.b.Must(err)
}

func (d slowDevice) send(n int) {
	if sent := must(d.sender.SendDatagrams(lab.DatagramSpec{To: d.to, N: n,
		Size: packetData})); sent != n {
		d.here.b.Must(fmt.Errorf("%d of %d datagrams were sent", sent, n))
	}
}

// queue is the row of the device's queue of a kind.
func (d slowDevice) queue(kind string) host.Row {
	for _, row := range d.here.Snapshot().Read().Rows(host.QdiscKind) {
		if row.Text("link") == "cable" && row.Text("kind") == kind {
			return row
		}
	}
	panic(abort{fmt.Errorf("cable has no %s", kind)})
}

var _ = register(Claim{
	ID:    "small-writes",
	Limit: "transmit-queue",
	Says: "messages that are gathered in a buffer take one system call for each buffer, " +
		"and a fifth of the CPU time or less",
	Source: "net/ipv4/tcp.c tcp_sendmsg_locked, tcp_push (TCP_NODELAY)",
	Unit:   "write() calls",
	Takes:  2 * time.Second,
	Busy:   Works,
	Trial: func(b *Bench) Outcome {
		const messages, size, buffer = 20000, 64, 16 << 10
		gathered := b.written(lab.StreamSpec{N: messages, Bytes: size, Buffer: buffer})
		single := b.written(lab.StreamSpec{N: messages, Bytes: size})
		calls := (messages*size + buffer - 1) / buffer
		o := Exactly(int64(calls), gathered.calls)
		o.Formula = fmt.Sprintf("%d messages * %d bytes / %d bytes of buffer = %d",
			messages, size, buffer, calls)
		o.ExpectThat("CPU time, of that without a buffer",
			fmt.Sprintf("at most a fifth of %v", single.cpu), gathered.cpu,
			gathered.cpu*5 <= single.cpu)
		// How many messages share a packet without a buffer is up to how far the
		// receiver is behind, so packets make no claim.
		o.Note = fmt.Sprintf(
			"CPU time for a megabyte: %v with one write() a message, %v with a "+
				"buffer of %d bytes; packets both ways: %d and %d",
			perMegabyte(single), perMegabyte(gathered), buffer, single.packets,
			gathered.packets)
		o.Without("write() calls without a buffer", messages, single.calls)
		return o
	},
})

// written is what a stream of messages took, as the kernel counts.
type written struct {
	calls, packets int64
	bytes          int
	cpu            time.Duration
}

func perMegabyte(w written) time.Duration {
	return (w.cpu * (1 << 20) / time.Duration(w.bytes)).Round(10 * time.Microsecond)
}

// written sends a stream in a world of its own.
func (b *Bench) written(spec lab.StreamSpec) written {
	e := b.between(loopback)
	b.Must(e.server.Serve(e.listener, lab.CloseSecond))
	spec.To = e.to
	calls, packets := writeCalls(e.client), e.Counter("Tcp.OutSegs")
	s := must(e.client.Stream(spec))
	return written{writeCalls(e.client) - calls, e.Counter("Tcp.OutSegs") - packets, s.Bytes,
		s.CPU}
}

// writeCalls reads how often a process has called write(): syscw in /proc/PID/io
// (fs/read_write.c vfs_write).
func writeCalls(a *lab.Actor) int64 {
	text := string(must(os.ReadFile(fmt.Sprintf("/proc/%d/io", a.PID()))))
	for line := range strings.Lines(text) {
		if n, ok := strings.CutPrefix(line, "syscw:"); ok {
			return must(strconv.ParseInt(strings.TrimSpace(n), 10, 64))
		}
	}
	panic(abort{&Impossible{"this kernel does not count write() calls " +
		"(CONFIG_TASK_IO_ACCOUNTING)"}})
}
