package limit

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/maxconn/maxconn/internal/host"
)

// randomPool is a namespace with some range, some ports reserved, listened on and bound,
// and some floor.
func randomPool(t *testing.T, r *rand.Rand) (host.Snapshot, pool) {
	t.Helper()
	ports := func() string {
		var p host.PortSet
		for range r.IntN(5) {
			first := r.IntN(65536)
			for port := first; port < min(first+r.IntN(3000), 65536); port++ {
				p.Add(uint16(port))
			}
		}
		return p.String()
	}
	var s host.Snapshot
	low := 1024 + r.IntN(60000)
	s.Set(portRange, fmt.Sprint(low, " ", min(low+r.IntN(30000), lastPort)))
	s.Set(reservedPorts, ports())
	s.Set(host.Ports("listening"), ports())
	s.Set(host.Ports("bound"), ports())
	s.Set(host.System("bound-sockets"), "listed")
	s.Set(host.Sysctl("net.ipv4.ip_unprivileged_port_start"),
		[]string{"0", "80", "1024", "2000", "30000"}[r.IntN(5)])
	reader := s.Read()
	p := portPool(reader)
	if reader.Err() != nil {
		t.Fatal(reader.Err())
	}
	return s, p
}

// A widened range has what is needed and a tenth, or all that is left, and at most two
// ports more, which the parity of its ends takes; it contains the old one; and every port
// of it that something listens on is reserved.
func TestWidenedRange(t *testing.T) {
	withMargin, without, none := 0, 0, 0
	for seed := range uint64(3000) {
		r := rand.New(rand.NewPCG(seed, 3))
		s, p := randomPool(t, r)
		need := 1 + r.Int64N(p.usable+20000)
		if r.IntN(3) == 0 {
			need = 45000 + r.Int64N(20000)
		}
		remedies := p.lift(need)
		var settings []host.Setting
		for _, m := range remedies {
			if m.IsChange() {
				settings = append(settings, m.Change)
			}
		}
		if need <= p.usable {
			if len(remedies) > 0 {
				t.Fatalf("seed %d: %d ports are there, %d needed: %v", seed,
					p.usable, need, remedies)
			}
			continue
		}
		if len(settings) == 0 {
			if none++; !outOfPorts(p, need) {
				t.Fatalf("seed %d: no range for %d ports, and there is one", seed,
					need)
			}
			continue
		}
		after := s.With(settings...)
		q := portPool(after.Read())
		margin := need / 10
		if sum := remedies[len(remedies)-1].Sum; strings.Contains(sum,
			"no port is left for a margin") {
			without, margin = without+1, 0
			if !outOfPorts(p, need+need/10) {
				t.Errorf("seed %d: there is room for a margin: %s", seed, sum)
			}
		} else if withMargin++; !strings.Contains(sum, " and 10 %") {
			t.Errorf("seed %d: the margin is not said: %s", seed, sum)
		}
		checkWidened(t, seed, after, p, q, need+margin)
	}
	if withMargin < 300 || without < 20 || none < 100 {
		t.Errorf("%d with a margin, %d without, %d impossible: the random pools say little",
			withMargin, without, none)
	}
}

// outOfPorts says whether there are not that many from the floor up, counted one by one.
func outOfPorts(p pool, need int64) bool {
	n := int64(0)
	for port := min(p.floor, p.low); port <= lastPort; port++ {
		if !p.ports.taken.Has(uint16(port)) {
			n++
		}
	}
	return n < need
}

func checkWidened(t *testing.T, seed uint64, after host.Snapshot, p, q pool, want int64) {
	t.Helper()
	switch servers := q.ports.listening.Within(q.low, q.high); {
	case q.low > p.low || q.high < p.high || q.size <= p.size:
		t.Errorf("seed %d: %d-%d is no wider than %d-%d", seed, q.low, q.high, p.low,
			p.high)
	case q.usable < want || q.usable > want+2:
		t.Errorf("seed %d: %d ports, wanted %d: %d-%d from %d-%d", seed, q.usable, want,
			q.low, q.high, p.low, p.high)
	case q.low < p.low && q.low < p.floor:
		t.Errorf("seed %d: begins at %d, below %d, which the kernel refuses", seed, q.low,
			p.floor)
	case servers.Union(q.ports.reserved) != q.ports.reserved:
		t.Errorf("seed %d: servers in %d-%d are not reserved", seed, q.low, q.high)
	case p.ports.reserved.Union(q.ports.reserved) != q.ports.reserved:
		t.Errorf("seed %d: a port is not reserved any more", seed)
	case (q.low-p.low)%2 != 0 && q.low > p.floor:
		t.Errorf("seed %d: the low end changed its parity: %d, %d", seed, p.low, q.low)
	}
}
