package observe

import (
	"strconv"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/linux/sockdiag"
)

// mostHolders is how many connections with a port are named; listeners and bound sockets all are.
const mostHolders = 32

// portHolder is a socket with a port that was asked for.
type portHolder struct {
	name, state string
	inode       uint32
}

// portHolders records who has the ports that were asked for: listeners, connections in every state,
// and sockets that are bound alone.
func (s *subject) portHolders() {
	if len(s.options.Ports) == 0 {
		return
	}
	ports, found := &host.PortSet{}, []portHolder(nil)
	for _, p := range s.options.Ports {
		of, err := holdersOf(p)
		if err != nil {
			s.miss("sock_diag: "+err.Error(), host.Ports(host.LookedUp),
				host.All(host.HolderKind))
			return
		}
		ports.Add(p)
		found = append(found, of...)
	}
	s.snapshot.Set(host.Ports(host.LookedUp), ports.String())
	inodes := make([]uint32, len(found))
	for i, h := range found {
		inodes[i] = h.inode
	}
	o := s.owners(watch(inodes))
	defer o.close()
	o.search(s.ctx, inodes)
	for _, h := range found {
		fields := host.Fields{}.Add("state", h.state)
		if p := o.watched[h.inode].first(); p != nil {
			fields = fields.AddInt("pid", int64(p.pid)).Add("process", p.comm)
		}
		s.snapshot.Set(host.Fact{Kind: host.HolderKind, Name: h.name}, fields.String())
	}
}

// holdersOf lists the sockets with a local port.
func holdersOf(port uint16) (found []portHolder, err error) {
	conn, err := sockdiag.Open()
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	names, connections := map[string]int{}, 0
	add := func(k *sockdiag.Socket) error {
		alone := k.State == sockdiag.Listen || k.State == sockdiag.BoundInactive
		if !alone {
			connections++
		}
		if k.Source.Port() != port || !alone && connections > mostHolders {
			return nil
		}
		h := portHolder{k.Source.String(), k.State.String(), k.Inode}
		if !alone {
			h.name += "->" + k.Destination.String()
		}
		if names[h.name]++; names[h.name] > 1 {
			h.name += "~" + strconv.Itoa(names[h.name])
		}
		found = append(found, h)
		return nil
	}
	r := sockdiag.Request{States: sockdiag.AllStates, SourcePort: port}
	if err := ignoreInterrupted(conn.Dump(r, add)); err != nil {
		return nil, err
	}
	return found, nil
}
