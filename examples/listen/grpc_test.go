package listen_test

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/maxconn/maxconn/listen"
)

// A gRPC server with two accept queues. Clients connect while it is being closed: whoever was connected is answered.
func TestGRPC(t *testing.T) {
	ln := open(t, listen.Config{Backlog: 256, Shards: 2, BestEffort: true, MaxConnections: 100})
	server := grpc.NewServer()
	grpc_health_v1.RegisterHealthServer(server, health.NewServer())
	ended := make(chan error)
	go func() { ended <- server.Serve(ln) }()

	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			conn, err := grpc.NewClient("passthrough:///"+ln.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			if _, err := grpc_health_v1.NewHealthClient(conn).Check(context.Background(), &grpc_health_v1.HealthCheckRequest{}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if st := ln.Stats(); st.Accepted != 20 || st.RefusedLimit != 0 || len(st.Shards) != 2 {
		t.Errorf("%+v", st)
	}
	ln.Close()                                                        // the server gets what is queued,
	if err := <-ended; err != nil && !errors.Is(err, net.ErrClosed) { // has taken it,
		t.Error(err)
	}
	server.GracefulStop() // and finishes its calls
	if st := ln.Stats(); st.Open != 0 {
		t.Errorf("afterwards %+v", st)
	}
}
