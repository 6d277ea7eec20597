package observe_test

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/lab"
)

// talk opens n connections from one actor to another's listener, a few hundred at a time.
func (s scene) talk(from *lab.Actor, to *lab.Actor, listener lab.Group, at netip.AddrPort, n int) {
	s.Helper()
	for ; n > 0; n -= 500 {
		s.connect(from, lab.ConnectSpec{To: at, N: min(n, 500)})
		s.accept(to, listener, min(n, 500))
	}
}

// A process with very many descriptors is read in part. Its connections to one destination
// were made after all others, so that only descriptors that come late in its table tell of
// them; another process, known in full, has a few to the same destination.
func TestHolderOfARowIsNotTheOneBestKnown(t *testing.T) {
	s := start(t)
	early, late, both := s.spawn("early"), s.spawn("late"), s.spawn("both")
	large, small := s.spawn("large"), s.spawn("small")
	g1, at1 := s.listen(early, "127.0.0.1:5001", 600)
	g2, at2 := s.listen(late, "127.0.0.1:5002", 600)
	g3, at3 := s.listen(both, "127.0.0.1:5003", 600)
	s.talk(large, early, g1, at1, 5000)
	s.talk(large, late, g2, at2, 1500)
	s.talk(large, both, g3, at3, 210)
	s.talk(small, late, g2, at2, 200)
	s.talk(small, both, g3, at3, 200)
	have := s.observe()
	is := func(a *lab.Actor) string {
		return fmt.Sprintf("pid=%d process=%s", a.PID(), a.Name())
	}
	s.want(have, host.OutboundKind, "127.0.0.1->127.0.0.1:5001", is(large))
	s.want(have, host.OutboundKind, "127.0.0.1->127.0.0.1:5002", is(large))
	// about half each
	s.want(have, host.OutboundKind, "127.0.0.1->127.0.0.1:5003", "pid= process=")
	s.want(have, host.InboundKind, "127.0.0.1:5001", is(early))
	s.want(have, host.InboundKind, "127.0.0.1:5002", is(late))
	if read := row(have, host.ProcessKind,
		fmt.Sprint(large.PID())); read["attributed"] == "all" {
		t.Errorf("all of the large process was read: the scene shows nothing; %v", read)
	}
}

// The usual case: one large process, read in part. It is named also where it has few connections.
func TestHolderOfARowIsALargeProcess(t *testing.T) {
	s := start(t)
	server, large := s.spawn("server"), s.spawn("large")
	for i, n := range []int{3500, 3500, 100} {
		// which does not accept
		_, at := s.listen(server, fmt.Sprintf("127.0.0.1:%d", 5001+i), 4000)
		s.connect(large, lab.ConnectSpec{To: at, N: n})
	}
	have := s.observe()
	for i := range 3 {
		s.want(have, host.OutboundKind, fmt.Sprintf("127.0.0.1->127.0.0.1:%d", 5001+i),
			fmt.Sprintf("pid=%d process=large", large.PID()))
	}
	if read := row(have, host.ProcessKind,
		fmt.Sprint(large.PID())); read["attributed"] == "all" {
		t.Errorf("all of it was read: the scene shows nothing; %v", read)
	}
}
