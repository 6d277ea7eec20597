package listen_test

import (
	"context"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"

	"github.com/maxconn/maxconn/listen"
)

// A gRPC server with two accept queues. Clients connect while it is being closed: those
// connected are answered.
func TestGRPC(t *testing.T) {
	ln := open(t, listen.Config{Backlog: 256, Shards: 2, BestEffort: true, MaxConnections: 100})
	server := grpc.NewServer()
	grpc_health_v1.RegisterHealthServer(server, health.NewServer())
	ended := make(chan error)
	go func() { ended <- server.Serve(ln) }()

	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			conn, err := grpc.NewClient("passthrough:///"+ln.Addr().String(),
				grpc.WithTransportCredentials(insecure.NewCredentials()))
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			if _, err := grpc_health_v1.NewHealthClient(conn).Check(
				context.Background(),
				&grpc_health_v1.HealthCheckRequest{}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if st := ln.Stats(); st.Accepted != 20 || st.RefusedLimit != 0 || len(st.Shards) != 2 {
		t.Errorf("%+v", st)
	}
	if err := ln.Drain(t.Context()); err != nil { // the server gets what is queued,
		t.Error(err)
	}
	server.GracefulStop() // and finishes its calls
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if st := ln.Stats(); st.Open != 0 {
		t.Errorf("afterwards %+v", st)
	}
}

// At the limit, connections that only the stop would close hold all places and clients
// wait: the stop does not. (Here Drain would wait until its context ends, for gRPC gives up
// no place before it is stopped.)
func TestGRPCStopsAtLimit(t *testing.T) {
	for name, stop := range map[string]func(*grpc.Server){"Stop": (*grpc.Server).Stop,
		"GracefulStop": (*grpc.Server).GracefulStop} {
		ln := open(t, listen.Config{MaxConnections: 1})
		server := grpc.NewServer()
		grpc_health_v1.RegisterHealthServer(server, health.NewServer())
		ended := make(chan error)
		go func() { ended <- server.Serve(ln) }()
		if err := check(t, ln.Addr().String()); err != nil {
			t.Fatal(err)
		}
		waiting := make(chan error)
		go func() { waiting <- check(t, ln.Addr().String()) }()
		for ln.Stats().Queued != 1 {
			time.Sleep(time.Millisecond)
		}
		began := time.Now()
		stop(server)
		if took := time.Since(began); took > 100*time.Millisecond {
			t.Errorf("%s took %v", name, took)
		}
		if err := <-ended; err != nil {
			t.Errorf("%s: Serve = %v", name, err)
		}
		if err := <-waiting; err == nil {
			t.Errorf("%s: the client that waited was served", name)
		}
	}
}

// check makes one call on a connection that stays open until the test ends.
func check(t *testing.T, addr string) error {
	conn, err := grpc.NewClient("passthrough:///"+addr,
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	t.Cleanup(func() { conn.Close() })
	_, err = grpc_health_v1.NewHealthClient(conn).Check(context.Background(),
		&grpc_health_v1.HealthCheckRequest{})
	return err
}

// seeing notes the connections that a server accepts.
type seeing struct {
	net.Listener
	conns chan net.Conn
}

func (s seeing) Accept() (net.Conn, error) {
	c, err := s.Listener.Accept()
	if err == nil {
		s.conns <- c
	}
	return c, err
}

// gRPC finds no *net.TCPConn to set TCP_USER_TIMEOUT on where there is a limit.
// Config.UserTimeout does it instead.
func TestGRPCUserTimeout(t *testing.T) {
	const timeout = 9 * time.Second
	ln := seeing{open(t, listen.Config{MaxConnections: 10, UserTimeout: timeout}),
		make(chan net.Conn, 1)}
	server := grpc.NewServer(grpc.KeepaliveParams(keepalive.ServerParameters{Timeout: timeout}))
	grpc_health_v1.RegisterHealthServer(server, health.NewServer())
	go server.Serve(ln)
	defer server.Stop()
	if err := check(t, ln.Addr().String()); err != nil {
		t.Fatal(err)
	}
	raw, err := (<-ln.conns).(syscall.Conn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	raw.Control(func(fd uintptr) {
		if ms, err := unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP,
			unix.TCP_USER_TIMEOUT); ms != 9000 || err != nil {
			t.Errorf("TCP_USER_TIMEOUT is %d ms, %v", ms, err)
		}
	})
}
