package observe

import (
	"errors"
	"io"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"strings"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/linux/netns"
	"github.com/maxconn/maxconn/internal/linux/procfs"
	"github.com/maxconn/maxconn/internal/linux/sockdiag"
)

// Looker looks at the accept queues and counters of one network namespace, many times a second: it
// holds what it reads from open, and keeps the namespace alive until it is closed. It is not for
// concurrent use.
type Looker struct {
	ID      netns.ID // of the namespace
	conn    *sockdiag.Conn
	netstat *os.File
	text    []byte
	queues  []Queue
	counts  map[host.Fact]int64
}

// Queue is the accept queue of one listening socket. The kernel holds Limit + 1 connections in it.
type Queue struct {
	Listener           netip.AddrPort
	Cookie             uint64
	Inode              uint32
	Used, Limit, Drops uint32
}

// OpenLooker opens one for the namespace of a subject.
func OpenLooker(o Options) (l *Looker, err error) {
	open := func() (err error) { l, err = openLooker(); return err }
	if o.Namespace != "" {
		return l, netns.Do(o.Namespace, open)
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	return l, open()
}

func openLooker() (*Looker, error) {
	id, err := netns.Self()
	if err != nil {
		return nil, err
	}
	conn, err := sockdiag.Open()
	if err != nil {
		return nil, err
	}
	netstat, err := os.Open("/proc/thread-self/net/netstat")
	if err != nil {
		conn.Close()
		return nil, err
	}
	return &Looker{ID: id, conn: conn, netstat: netstat, text: make([]byte, 1<<14),
		counts: map[host.Fact]int64{}}, nil
}

// Close lets the namespace go.
func (l *Looker) Close() { l.conn.Close(); l.netstat.Close() }

// Look reads all queues, and those of the facts that are counters of the namespace. What it returns
// is valid until the next call.
func (l *Looker) Look(facts []host.Fact) ([]Queue, map[host.Fact]int64, error) {
	l.queues = l.queues[:0]
	r := sockdiag.Request{States: sockdiag.Listen.Mask(), Memory: true}
	err := l.conn.Dump(r, func(k *sockdiag.Socket) error {
		if k.State == sockdiag.Listen {
			l.queues = append(l.queues, Queue{Listener: k.Source, Cookie: k.Cookie,
				Inode: k.Inode, Used: k.ReceiveQueue, Limit: k.SendQueue,
				Drops: k.Drops})
		}
		return nil
	})
	return l.queues, l.counts, errors.Join(ignoreInterrupted(err), l.count(facts))
}

// count reads /proc/net/netstat; what is not in it stays unknown.
func (l *Looker) count(facts []host.Fact) error {
	clear(l.counts)
	if _, err := l.netstat.Seek(0, io.SeekStart); err != nil {
		return err
	}
	n, err := l.netstat.Read(l.text) // one record, in one piece (fs/seq_file.c seq_read_iter)
	if n == len(l.text) {
		l.text = make([]byte, 2*n) // whole the next time
		return nil
	}
	if n == 0 {
		return err
	}
	wanted := map[string]host.Fact{}
	for _, f := range facts {
		if f.Kind == host.CounterKind && strings.HasPrefix(f.Name, "TcpExt.") {
			wanted[f.Name] = f
		}
	}
	return procfs.ParseCounters(l.text[:n], func(proto, name, value string) {
		if proto != "TcpExt" {
			return
		}
		if f, ok := wanted[proto+"."+name]; ok {
			if v, err := strconv.ParseInt(value, 10, 64); err == nil {
				l.counts[f] = v
			}
		}
	})
}
