package dial_test

import (
	"context"
	"net"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/peer"

	"github.com/maxconn/maxconn/dial"
)

func TestGRPC(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	seen := make(chan string, 4)
	server := grpc.NewServer(grpc.UnaryInterceptor(func(ctx context.Context, req any,
		_ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
		if p, ok := peer.FromContext(ctx); ok {
			host, _, _ := net.SplitHostPort(p.Addr.String())
			seen <- host
		}
		return next(ctx, req)
	}))
	grpc_health_v1.RegisterHealthServer(server, health.NewServer())
	go server.Serve(l)
	defer server.Stop()

	d := pool()
	for range 4 {
		conn, err := grpc.NewClient("passthrough:///"+l.Addr().String(),
			grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn,
				error) {
				return d.DialContext(ctx, "tcp", address)
			}))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := grpc_health_v1.NewHealthClient(conn).Check(t.Context(),
			&grpc_health_v1.HealthCheckRequest{}); err != nil {
			t.Fatal(err)
		}
		if from := <-seen; from == "127.0.0.1" {
			t.Errorf("the server saw %s, which is not in the pool", from)
		}
	}
	checkPool(t, d, l.Addr().String(), 4)
}

// gRPC sets TCP_USER_TIMEOUT by its keepalive parameters on a *net.TCPConn only. A dialer
// that is told nothing returns that; one with a pool sets the option itself.
func TestGRPCUserTimeout(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	grpc_health_v1.RegisterHealthServer(server, health.NewServer())
	go server.Serve(l)
	defer server.Stop()
	const timeout = 9 * time.Second
	pooled := pool()
	pooled.UserTimeout = timeout
	for name, d := range map[string]*dial.Dialer{"told nothing": {}, "pool": pooled} {
		var last net.Conn
		conn, err := grpc.NewClient("passthrough:///"+l.Addr().String(),
			grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: time.Minute,
				Timeout: timeout}),
			grpc.WithContextDialer(func(ctx context.Context,
				address string) (c net.Conn, err error) {
				last, err = d.DialContext(ctx, "tcp", address)
				return last, err
			}))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := grpc_health_v1.NewHealthClient(conn).Check(t.Context(),
			&grpc_health_v1.HealthCheckRequest{}); err != nil {
			t.Fatal(err)
		}
		raw, err := last.(syscall.Conn).SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		raw.Control(func(fd uintptr) {
			if ms, err := unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP,
				unix.TCP_USER_TIMEOUT); ms != 9000 || err != nil {
				t.Errorf("%s: TCP_USER_TIMEOUT is %d ms, %v", name, ms, err)
			}
		})
	}
}
