package observe

import (
	"context"
	"runtime"
	"slices"
	"time"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/linux/netns"
	"github.com/maxconn/maxconn/internal/linux/procfs"
	"github.com/maxconn/maxconn/internal/linux/sockdiag"
)

// glance is how long after the first look the second comes.
const glance = time.Second

// Again reads once more, a second after a snapshot was begun, what is cheap to read and counts
// refusals: counters of the namespace and the drops of each listener. What moved is put into the
// snapshot, so that one look also tells what goes on. Where nothing was ever refused it does not
// wait: there is nothing to go on. A namespace that is gone by then leaves the snapshot as it is.
func Again(ctx context.Context, o Options, first host.Snapshot, begun time.Time) (host.Snapshot,
	error) {
	if !everRefused(first) {
		return first, nil
	}
	if err := wait(ctx, begun.Add(glance), nil); err != nil {
		return host.Snapshot{}, err
	}
	s := &subject{ctx: ctx, options: o, root: procfs.Root(o.Root)}
	read := func() error {
		s.counters()
		s.conntrack()
		return s.drops(first)
	}
	var err error
	if o.Namespace == "" {
		runtime.LockOSThread()
		err = read()
		runtime.UnlockOSThread()
	} else {
		err = netns.Do(o.Namespace, read)
	}
	if ctx.Err() != nil {
		return host.Snapshot{}, ctx.Err()
	}
	if err != nil || o.Namespace != "" && s.changed(first) {
		return first, nil
	}
	return host.Glance(first, s.snapshot, time.Since(begun)), nil
}

// refusals are the counters that tell of connections that were refused or lost.
func refusals() []host.Fact {
	return []host.Fact{
		host.Counter("TcpExt.ListenOverflows"), host.Counter("TcpExt.ListenDrops"),
		host.Counter("TcpExt.TCPReqQFullDrop"), host.Counter("TcpExt.TCPAbortOnMemory"),
		host.Counter("TcpExt.TCPTimeWaitOverflow"), host.Counter("TcpExt.PAWSPassive"),
		conntrackStat("drop"), conntrackStat("early_drop"), conntrackStat("insert_failed"),
	}
}

func conntrackStat(column string) host.Fact {
	return host.Fact{Kind: host.ConntrackKind, Name: column}
}

// everRefused says whether the namespace has ever refused a connection that it counted.
func everRefused(s host.Snapshot) bool {
	r := s.Read()
	counted := func(f host.Fact) bool { n, _ := r.Maybe(f); return n > 0 }
	dropped := func(row host.Row) bool { return row.Count("drops") > 0 }
	return slices.ContainsFunc(refusals(), counted) ||
		slices.ContainsFunc(r.Rows(host.ListenerKind), dropped) || crowded(r)
}

// crowded says whether a destination has more than half of the ports, from where on connect() takes
// long: then it matters whether connections are being opened.
func crowded(r *host.Reader) bool {
	low, high := r.Pair(host.Sysctl(portRange))
	return r.Err() == nil && slices.ContainsFunc(r.Rows(host.OutboundKind),
		func(row host.Row) bool { return row.Count("ranged")*2 > high-low+1 })
}

// changed says whether the namespace behind the path is another one by now.
func (s *subject) changed(first host.Snapshot) bool {
	return s.id.Inode != 0 && first.Read().Optional(host.System("netns")) != s.id.String()
}

// drops reads the counter of each listener of the first snapshot, known by its inode.
func (s *subject) drops(first host.Snapshot) (err error) {
	if s.id, err = netns.Self(); err != nil {
		return err
	}
	names := map[int64]string{}
	for _, row := range first.Read().Rows(host.ListenerKind) {
		if n := row.Count("inode"); n != 0 {
			names[n] = row.Name()
		}
	}
	conn, err := sockdiag.Open()
	if err != nil {
		return nil // the counters tell something all the same
	}
	defer conn.Close()
	found, _ := listeners(conn)
	for _, l := range found {
		if name, ok := names[int64(l.inode)]; ok && l.hasDrops {
			s.snapshot.Set(host.Fact{Kind: host.ListenerKind, Name: name},
				host.Fields{}.AddInt("drops", int64(l.drops)).String())
		}
	}
	return nil
}
