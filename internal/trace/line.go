package trace

import (
	"net/netip"
	"time"

	"github.com/maxconn/maxconn/internal/linux/bpf"
	"github.com/maxconn/maxconn/internal/refusal"
)

// noPort is what connect() says for want of a port.
const noPort = "EADDRNOTAVAIL"

// line says what an event is; ok is false for one that is nothing to report.
func (t *Trace) line(r bpf.Refusal) (l refusal.Line, ok bool) {
	if _, known := t.names[r.NetNS]; !known && !t.options.All {
		return l, false
	}
	l = refusal.Line{Schema: refusal.LineSchema, SeenBy: refusal.Event, Count: int64(r.Count),
		NetNS: t.spaceName(r.NetNS), Time: t.at(r.Last), Process: r.Comm,
		PID: int64(r.PID), Reason: r.Reason}
	switch r.Kind {
	case bpf.NoPort:
		l.What, l.Errno, l.Limit = refusal.NoPort, noPort, refusal.OfErrno(noPort)
	case bpf.PortTaken: // the port is the program's choice, and no limit's
		l.What, l.Errno = refusal.PortTaken, noPort
	case bpf.ConnectError:
		l.What, l.Errno = refusal.Failed, bpf.ErrnoName(r.Errno)
	case bpf.ConnectRepeat:
		l.What = refusal.NoAnswer
	case bpf.AcceptQueue:
		l.What, l.Limit = refusal.QueueFull, refusal.OfReason(bpf.ListenOverflow)
		l.Queue, l.Backlog = int64(r.Queue), int64(r.Most)
	case bpf.SynackRepeat:
		l.What = refusal.SynAckAgain
	case bpf.Dropped:
		l.What, l.Limit = refusal.Dropped, refusal.OfReason(r.Reason)
	case bpf.NoFile:
		l.What, l.Errno = refusal.NoFile, bpf.ErrnoName(r.Errno)
		l.Limit = refusal.OfErrno(l.Errno)
	default:
		return l, false
	}
	t.place(&l, r)
	t.holders.name(&l, r.Inode)
	return l, true
}

// place fills in where it happened.
func (t *Trace) place(l *refusal.Line, r bpf.Refusal) {
	switch r.Kind {
	case bpf.AcceptQueue, bpf.SynackRepeat:
		l.Listener, l.Client = text(r.Source), text(r.Client)
	case bpf.NoFile:
	case bpf.Dropped:
		l.Source, l.Destination = address(r.Source), text(r.Destination)
	default:
		l.Call = "connect"
		l.Destination = text(r.Destination)
		if l.Source = address(r.Source); r.Source.Port() != 0 {
			l.Source = text(r.Source)
		}
	}
}

func text(a netip.AddrPort) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

func address(a netip.AddrPort) string {
	if !a.IsValid() {
		return ""
	}
	return a.Addr().String()
}

// at is the time of day of an event.
func (t *Trace) at(sinceBoot time.Duration) string {
	return t.begun.Add(sinceBoot - t.clock).Format("2006-01-02T15:04:05.000Z07:00")
}
