package prove

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/maxconn/maxconn/internal/lab"
)

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
