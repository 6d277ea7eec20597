package coalesce_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
)

// A client of Redis, and a server that answers each command by itself, as one written in Go may.
// go-redis has a connection for each caller and sends a pipeline in one piece, so what is saved
// is in the answers of the server; a connection that callers share is in the examples of package
// coalesce.
func TestRedis(t *testing.T) {
	const commands, pipelines = 100, 50
	compare(t, commands*pipelines, func(t *testing.T, a adoption) func() {
		l := a.listen(listen(t)) // the one line of a server
		go serveRedis(l)
		client := redis.NewClient(&redis.Options{
			Addr: l.Addr().String(), Protocol: 2, DisableIdentity: true,
			Dialer: a.dial, // the one line of a client
		})
		t.Cleanup(func() { client.Close() })
		return func() {
			ctx := context.Background()
			for range pipelines {
				_, err := client.Pipelined(ctx, func(p redis.Pipeliner) error {
					for range commands {
						p.Ping(ctx)
					}
					return nil
				})
				if err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}

// serveRedis knows PING, and refuses all else.
func serveRedis(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			for in := bufio.NewScanner(c); in.Scan(); {
				switch word := strings.ToLower(in.Text()); {
				case word == "ping":
					io.WriteString(c, "+PONG\r\n")
				case word == "hello" || word == "client":
					io.WriteString(c, "-ERR unknown command\r\n")
				}
			}
		}()
	}
}
