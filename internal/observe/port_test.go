package observe_test

import (
	"context"
	"fmt"
	"net/netip"
	"testing"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/lab"
	"github.com/maxconn/maxconn/internal/observe"
)

// Who holds a port is told for every kind of socket that keeps a server from it; other ports are
// left out.
func TestPortHolders(t *testing.T) {
	s := start(t)
	server, client := s.spawn("server"), s.spawn("client")
	_, at := s.listen(server, "127.0.0.1:5001", 10)
	s.connect(client, lab.ConnectSpec{To: at, N: 1, From: netip.MustParseAddrPort(
		"127.0.0.1:9090")})
	s.connect(client, lab.ConnectSpec{To: at, N: 1, From: netip.MustParseAddrPort(
		"127.0.0.1:9191")})
	o := s.options()
	o.Ports = []uint16{9090, 5001, 7000}
	have := must(observe.Observe(context.Background(), o))(t)
	is := func(state string, a *lab.Actor) string {
		return fmt.Sprintf("state=%s pid=%d process=%s", state, a.PID(), a.Name())
	}
	s.want(have, host.HolderKind, "127.0.0.1:9090->127.0.0.1:5001", is("ESTABLISHED", client))
	s.want(have, host.HolderKind, "127.0.0.1:5001", is("LISTEN", server))
	if have.Read().Text(host.Ports(host.LookedUp)) != "5001,7000,9090" {
		t.Errorf("%q", have.Read().Text(host.Ports(host.LookedUp)))
	}
	for _, row := range have.Read().Rows(host.HolderKind) {
		if at, ok := netip.ParseAddrPort(row.Name()[:14]); ok == nil && at.Port() == 9191 {
			t.Errorf("%s was not asked for", row.Name())
		}
	}
	if without := s.observe(); len(without.Read().Rows(host.HolderKind)) > 0 {
		t.Error("holders without being asked")
	}
}
