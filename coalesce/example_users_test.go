package coalesce_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"sync"

	"github.com/maxconn/maxconn/coalesce"
)

// pipeline is a client of Redis, or of any other server that answers in order, which
// many goroutines share.
type pipeline struct {
	mu      sync.Mutex // keeps the order of commands and of those who wait the same
	conn    net.Conn
	waiting chan chan string
}

func (p *pipeline) do(command string) string {
	reply := make(chan string, 1)
	p.mu.Lock()
	p.waiting <- reply
	fmt.Fprintf(p.conn, "%s\r\n", command)
	p.mu.Unlock()
	return <-reply
}

func (p *pipeline) readReplies() {
	for in := bufio.NewScanner(p.conn); in.Scan(); {
		<-p.waiting <- in.Text()
	}
}

// pong answers each line, as Redis does PING.
func pong(c net.Conn) {
	defer c.Close()
	for in := bufio.NewScanner(c); in.Scan(); {
		io.WriteString(c, "+PONG\r\n")
	}
}

// Commands of many callers of one Redis connection leave together: with 64
// callers some 30 in a system call. The only change is the call of New.
func Example_redis() {
	conn, server := connected()
	go pong(server)
	c := coalesce.New(conn, coalesce.Config{})
	p := &pipeline{conn: c, waiting: make(chan chan string, 64)}
	go p.readReplies()
	var callers sync.WaitGroup
	for range 64 {
		callers.Go(func() {
			for range 20 {
				if got := p.do("PING"); got != "+PONG" {
					fmt.Println(got)
				}
			}
		})
	}
	callers.Wait()
	fmt.Println(c.Stats().Messages, "commands answered", c.Close())
	// Output: 1280 commands answered <nil>
}

// A room passes each message on to all its members. One that does not keep up
// is dropped, and nobody waits for it.
func Example_chat() {
	var members []*coalesce.Conn
	var readers sync.WaitGroup
	budget := coalesce.NewBudget(16 << 20) // for all members together
	for range 50 {
		conn, client := connected()
		members = append(members, coalesce.New(conn,
			coalesce.Config{Budget: budget, OnFull: coalesce.Disconnect}))
		readers.Go(func() {
			defer client.Close()
			if n, err := io.Copy(io.Discard, client); n != 6000 || err != nil {
				fmt.Println(n, err)
			}
		})
	}
	var speakers sync.WaitGroup
	for range 10 {
		speakers.Go(func() {
			for range 100 {
				for _, m := range members {
					m.Write([]byte("hello\n"))
				}
			}
		})
	}
	speakers.Wait()
	messages := int64(0)
	for _, m := range members {
		if err := m.Close(); err != nil {
			fmt.Println(err)
		}
		messages += m.Stats().Messages
	}
	readers.Wait()
	fmt.Println(messages, "messages delivered")
	// Output: 50000 messages delivered
}
