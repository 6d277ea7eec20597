package coalesce_test

import (
	"context"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"

	"github.com/maxconn/maxconn/coalesce"
)

// coalesced are credentials whose connections are wrapped after the handshake. gRPC sets
// TCP_USER_TIMEOUT, which its keepalive relies on, only on connections of type *net.TCPConn, and
// before the handshake. So a dialer or listener must not wrap what gRPC gets where keepalive is
// used; credentials may, and above TLS a batch is one record.
type coalesced struct {
	credentials.TransportCredentials
	cfg coalesce.Config
}

func (c coalesced) ClientHandshake(
	ctx context.Context, authority string, raw net.Conn,
) (net.Conn, credentials.AuthInfo, error) {
	conn, info, err := c.TransportCredentials.ClientHandshake(ctx, authority, raw)
	if err != nil {
		return nil, nil, err
	}
	return coalesce.Wrap(conn, c.cfg), info, nil
}

func (c coalesced) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	conn, info, err := c.TransportCredentials.ServerHandshake(raw)
	if err != nil {
		return nil, nil, err
	}
	return coalesce.Wrap(conn, c.cfg), info, nil
}

func (c coalesced) Clone() credentials.TransportCredentials {
	return coalesced{c.TransportCredentials.Clone(), c.cfg}
}

// kept notes the connections that a listener accepts.
type kept struct {
	net.Listener
	conns chan net.Conn
}

func (k kept) Accept() (net.Conn, error) {
	c, err := k.Listener.Accept()
	if err == nil {
		k.conns <- c
	}
	return c, err
}

func userTimeout(t *testing.T, c net.Conn) (ms int) {
	t.Helper()
	raw, err := c.(syscall.Conn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	raw.Control(func(fd uintptr) {
		ms, err = unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT)
	})
	if err != nil {
		t.Fatal(err)
	}
	return ms
}

// A gRPC server and a client with 64 calls at a time on one connection, whose keepalive works as
// it does without coalesce.
func TestGRPC(t *testing.T) {
	var totals coalesce.Totals
	wrapped := coalesced{insecure.NewCredentials(), coalesce.Config{Totals: &totals}}
	for name, creds := range map[string]credentials.TransportCredentials{
		"before": insecure.NewCredentials(), "after": wrapped,
	} {
		l := kept{listen(t), make(chan net.Conn, 10)}
		server := grpc.NewServer(
			grpc.Creds(creds), // the one line of a server
			grpc.KeepaliveParams(keepalive.ServerParameters{Timeout: 8 * time.Second}),
		)
		grpc_health_v1.RegisterHealthServer(server, health.NewServer())
		go server.Serve(l)
		var dialled net.Conn
		client, err := grpc.NewClient("passthrough:///"+l.Addr().String(),
			grpc.WithTransportCredentials(creds), // the one line of a client
			grpc.WithKeepaliveParams(keepalive.ClientParameters{
				Time: time.Minute, Timeout: 9 * time.Second,
			}),
			grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn,
				error) {
				c, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
				dialled = c
				return c, err
			}))
		if err != nil {
			t.Fatal(err)
		}
		from := writes(t)
		checkOften(t, client)
		t.Logf("%s: %.3f system calls that write, a call", name,
			float64(writes(t)-from)/(64*100))
		if ms := userTimeout(t, dialled); ms != 9000 {
			t.Errorf("%s: the client's TCP_USER_TIMEOUT is %d ms", name, ms)
		}
		if ms := userTimeout(t, <-l.conns); ms != 8000 {
			t.Errorf("%s: the server's TCP_USER_TIMEOUT is %d ms", name, ms)
		}
		client.Close()
		server.Stop()
	}
	if s := totals.Stats(); s.Messages == 0 || s.Sent == 0 {
		t.Errorf("not wrapped: %+v", s)
	}
}

func checkOften(t *testing.T, conn *grpc.ClientConn) {
	client := grpc_health_v1.NewHealthClient(conn)
	var all sync.WaitGroup
	for range 64 {
		all.Go(func() {
			for range 100 {
				_, err := client.Check(context.Background(),
					&grpc_health_v1.HealthCheckRequest{})
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
}
