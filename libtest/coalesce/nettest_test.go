package coalesce

import (
	"context"
	"net"
	"testing"
	"time"

	"golang.org/x/net/nettest"

	"github.com/maxconn/maxconn/coalesce"
	"github.com/maxconn/maxconn/coalesce/coalescetest"
)

// plain hides the type of a connection, so that attempts that do not block are not possible.
type plain struct{ net.Conn }

func TestNetConn(t *testing.T) {
	const closeTimeout = 50 * time.Millisecond
	tcp := func(c net.Conn) net.Conn { return c }
	hidden := func(c net.Conn) net.Conn { return plain{c} }
	for name, tc := range map[string]struct {
		wrap func(net.Conn) net.Conn
		cfg  coalesce.Config
	}{
		"auto":       {tcp, coalesce.Config{}},
		"immediate":  {tcp, coalesce.Config{Policy: coalesce.Immediate}},
		"readdriven": {tcp, coalesce.Config{ReadDriven: true}},
		"small": {tcp, coalesce.Config{BufferSize: 1 << 10,
			MaxPending: 1 << 10}},
		"budget":           {tcp, coalesce.Config{Budget: coalesce.NewBudget(1)}},
		"plain auto":       {hidden, coalesce.Config{}},
		"plain immediate":  {hidden, coalesce.Config{Policy: coalesce.Immediate}},
		"plain readdriven": {hidden, coalesce.Config{ReadDriven: true}},
	} {
		t.Run(name, func(t *testing.T) {
			tc.cfg.CloseTimeout = closeTimeout
			nettest.TestConn(t, func() (net.Conn, net.Conn, func(), error) {
				a, b, err := coalescetest.Connected("tcp")
				if err != nil {
					return nil, nil, nil, err
				}
				c := coalesce.New(tc.wrap(a), tc.cfg)
				return c, b, func() { finish(c); b.Close() }, nil
			})
		})
	}
}

func TestNetConnBothEnds(t *testing.T) {
	nettest.TestConn(t, func() (net.Conn, net.Conn, func(), error) {
		a, b, err := coalescetest.Connected("tcp")
		if err != nil {
			return nil, nil, nil, err
		}
		cfg := coalesce.Config{CloseTimeout: 50 * time.Millisecond}
		x, y := coalesce.New(a, cfg), coalesce.New(b, cfg)
		return x, y, func() { finish(x); finish(y) }, nil
	})
}

// finish closes, and waits for what Close leaves to the background.
func finish(c *coalesce.Conn) {
	c.Close()
	c.CloseContext(context.Background())
}
