package dial_test

import (
	"context"
	"net"
	"os/exec"
	"sync"
	"testing"

	"github.com/redis/go-redis/v9"
)

func TestGoRedis(t *testing.T) {
	port := freePort(t)
	address := net.JoinHostPort("127.0.0.1", port)
	// Protected mode refuses all peers but 127.0.0.1 itself (networking.c acceptCommonHandler).
	start(t, exec.Command(program(t, "redis-server"), "--port", port, "--bind", "127.0.0.1",
		"--protected-mode", "no",
		"--save", "", "--dir", t.TempDir(), "--logfile", "redis.log"), address)

	d := pool()
	client := redis.NewClient(&redis.Options{Addr: address, Dialer: d.DialContext, PoolSize: 16,
		MinIdleConns: 8})
	defer client.Close()

	var all sync.WaitGroup
	for range 64 {
		all.Go(func() {
			if err := client.Incr(context.Background(), "visits").Err(); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n, err := client.Get(context.Background(), "visits").Int(); n != 64 || err != nil {
		t.Errorf("visits = %d, %v", n, err)
	}
	checkPool(t, d, address, 4)
}
