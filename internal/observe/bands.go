package observe

import (
	"fmt"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/linux/pidfd"
	"github.com/maxconn/maxconn/internal/linux/procfs"
)

// How many descriptors are looked at for IP_LOCAL_PORT_RANGE: some 10 microseconds each.
const (
	bandFiles     = 1024 // of all processes
	bandFilesEach = 128  // of one process
)

// bands are the parts of the port range that the sockets of destinations were given.
type bands map[peerKey]*band

// band is what the sockets of one destination that were looked at have.
type band struct {
	ports pidfd.Ports
	mixed bool
	seen  uint32
}

// enoughSeen is how many sockets of a destination speak for all.
const enoughSeen = 32

// bands looks at some sockets of the processes that hold the outbound connections shown. Where
// that is not permitted, nothing is known, and such ceilings are marked so for any program.
func (s *subject) bands(t *tally, shown []*peer) bands {
	found := bands{}
	if s.snapshot.Read().Optional(socketRange) == "no" || s.options.Root != "" {
		return found
	}
	left, seen := bandFiles, map[uint32]bool{}
	for _, p := range shown {
		pid := p.votes.process.candidate
		if pid == 0 || seen[pid] || left <= 0 || s.ctx.Err() != nil {
			continue
		}
		seen[pid] = true
		left -= found.of(s.root, t.owners.byPID(int(pid)))
	}
	return found
}

// of looks at one process, and says at how many of its descriptors.
func (b bands) of(root procfs.Root, h *holder) (read int) {
	if h == nil {
		return 1
	}
	held, err := pidfd.Open(h.pid)
	if err != nil {
		return 1
	}
	defer held.Close()
	p, err := root.Open(h.pid)
	if err != nil {
		return 1
	}
	defer p.Close()
	if !h.is(p) { // then the descriptor may be another's too
		return 1
	}
	walk, err := p.Files()
	if err != nil {
		return 1
	}
	defer walk.Close()
	if files, err := p.OpenCount(); err == nil && files > bandFilesEach {
		walk.Scatter(files)
	}
	read, _, _ = walk.Sockets(bandFilesEach, func(fd int, _ uint32) bool {
		c, ok, err := held.Connection(fd)
		if ok {
			b.add(c)
		}
		return err == nil
	})
	return max(1, read)
}

func (b bands) add(c pidfd.Connection) {
	key := peerKey{c.Local.Addr().As16(), c.Remote.Addr().As16(), c.Remote.Port()}
	have := b[key]
	if have == nil {
		have = &band{ports: c.Ports}
		b[key] = have
	}
	have.seen++
	have.mixed = have.mixed || have.ports != c.Ports
}

// field appends the part of the range that the sockets of a row have. An end outside of that of
// the namespace is not obeyed (net/ipv4/inet_connection_sock.c inet_sk_get_local_port_range).
func (b bands) field(f host.Fields, p *peer, low, high int64) host.Fields {
	have := b[p.key]
	switch {
	case have == nil || have.ports == pidfd.Ports{} && !have.mixed:
		return f
	case have.mixed || have.seen < enoughSeen && have.seen*2 <= p.sockets:
		return f.Add("band", "mixed")
	}
	if n := int64(have.ports.Low); n >= low && n <= high {
		low = n
	}
	if n := int64(have.ports.High); n >= low && n <= high {
		high = n
	}
	return f.Add("band", fmt.Sprintf("%d-%d", low, high))
}
