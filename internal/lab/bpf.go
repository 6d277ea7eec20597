//go:build linux

package lab

import (
	"github.com/maxconn/maxconn/internal/linux/tune"
)

// RefuseConnects has a program refuse every connect() over IPv4 of the cgroup's processes, until
// detach is called or the cgroup is removed.
func (c *Cgroup) RefuseConnects() (detach func() error, err error) {
	return tune.RefuseConnects(c.Path)
}

// Table is a table of connections as an eBPF datapath has it. All of the host can see it.
type Table struct{ *tune.Table }

// Table makes one for so many entries.
func (l *Lab) Table(name string, most uint32, lru bool) (Table, error) {
	t, err := tune.NewTable(name, most, lru)
	return Table{t}, err
}

// Fill puts n further entries in, from a key on: how many were taken, and the errno of the first
// that was not ("E2BIG"), "" where all were.
func (t Table) Fill(first, n uint32) (taken int, refused string) {
	taken, errno := t.Table.Fill(first, n)
	if errno != 0 {
		refused = errnoName(errno)
	}
	return taken, refused
}
