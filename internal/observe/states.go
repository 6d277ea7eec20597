package observe

import (
	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/linux/sockdiag"
)

// states counts sockets by their state.
type states [sockdiag.Closing + 1]uint32

func (s *states) add(t *states) {
	for i, n := range t {
		s[i] += n
	}
}

func (s *states) sum() (n int64) {
	for _, k := range s {
		n += int64(k)
	}
	return n
}

// fields appends the states that a row of connections has, those that count something.
func (s *states) fields(f host.Fields) host.Fields {
	for i, n := range s {
		if name := fieldOf(sockdiag.State(i)); name != "" && n > 0 {
			f = f.AddInt(name, int64(n))
		}
	}
	return f
}

// fieldOf is the name in host.States of a state of connections, or "".
func fieldOf(s sockdiag.State) string {
	switch s {
	case sockdiag.Listen, sockdiag.Close, 0:
		return ""
	}
	return s.String()
}
