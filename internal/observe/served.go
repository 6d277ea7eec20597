package observe

import (
	"net/netip"

	"github.com/maxconn/maxconn/internal/host"
)

// servedLeast is from how many connections on a local port is told a server by.
const servedLeast = 4

// served finds the listeners that are gone by what they left in the table of destinations. No
// socket tells whether it was connected or accepted. But what many connections share as their
// local port, each to another unprivileged port at the other end and no other to that one, is a
// service, and those are its clients. connect() takes a port for several destinations too, where
// there are more of these than ports: a service has many times as many as the other ports.
func (t *tally) served() {
	ports, rows := map[local][]int32{}, map[[16]byte]int{}
	for i := range t.peers.rows {
		p := &t.peers.rows[i]
		if p.sockets != 1 || p.key.port < 1024 {
			continue
		}
		key := local{p.key.source, p.local}
		ports[key] = append(ports[key], int32(i))
		rows[key.address]++
	}
	used := map[[16]byte]int{}
	for key := range ports {
		used[key.address]++
	}
	gone := false
	for key, at := range ports {
		n := len(at)
		others := max(1, (rows[key.address]-n)/max(1, used[key.address]-1))
		known := t.listening.all[key] != nil // when the table was full
		if !known && (n < servedLeast || t.pool.Has(key.port) && n < 8*others ||
			t.gone >= maxGone || t.peers.remotes(at) < servedLeast) {
			continue
		}
		if gone = true; !known {
			t.gone++
		}
		t.accepted(key, at)
	}
	if gone {
		t.peers.drop()
	}
}

// accepted makes rows of the table of destinations connections of a listener that is gone.
func (t *tally) accepted(at local, rows []int32) {
	g := t.listening.at(netip.AddrPortFrom(addressOf(at.address), at.port))
	for _, i := range rows {
		p := &t.peers.rows[i]
		g.states.add(&p.states)
		g.votes.add(&p.votes)
		p.sockets = 0
	}
	t.sources.take(&at.address, at.port, uint32(len(rows)))
}

// remotes counts the different ports of the destinations of some rows.
func (t *peers) remotes(rows []int32) int64 {
	var ports host.PortSet
	for _, i := range rows {
		ports.Add(t.rows[i].key.port)
	}
	return ports.Len()
}

// drop takes rows without sockets out of the table.
func (t *peers) drop() {
	kept := t.rows[:0]
	clear(t.index)
	for i := range t.rows {
		if t.rows[i].sockets > 0 {
			t.index[t.rows[i].key] = int32(len(kept))
			kept = append(kept, t.rows[i])
		}
	}
	clear(t.rows[len(kept):])
	t.rows = kept
}

// take takes out the sockets of a port that turned out to be no outbound ones.
func (t *sources) take(address *[16]byte, port uint16, n uint32) {
	if s := t.at(address); s != nil {
		s.sockets -= min(n, s.sockets)
		s.ports.Remove(port)
		s.shared.Remove(port)
	}
}

// add takes the votes of a row of one socket.
func (v *votes) add(o *votes) {
	if o.process.of > 0 {
		v.process.add(o.process.candidate, o.process.lead)
		v.name.add(o.name.candidate, o.name.lead)
	}
	v.unknown += o.unknown
}
