//go:build linux

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/maxconn/maxconn/internal/lab"
)

// The speed budget of check, as a whole process against a bare dump as a whole process: the
// same sockets, in the same namespace, in turn. Times are processor times: within its second check
// waits for the second look at counters.
//
//	MAXCONN_BENCH_SOCKETS=300000 \
//	  go test ./cmd/maxconn -run '^$' -bench '^BenchmarkCheck$' -benchtime 5x

const (
	benchMode    = "MAXCONN_BENCH_MODE" // what the test binary does instead of testing
	benchSockets = "MAXCONN_BENCH_SOCKETS"
	perProcess   = 15000 // sockets of one process, below the usual hard limit
)

// benchMain is the test binary as a bare dump, or as a stop-watch around a command.
func benchMain() {
	switch os.Getenv(benchMode) {
	case "bare":
		if err := bareDump(unix.AF_INET, unix.AF_INET6); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	case "time":
		os.Exit(stopwatch(os.Args[1:]))
	}
}

// lap is what the stop-watch prints.
type lap struct {
	Nanoseconds int64 `json:"ns"`
	Work        int64 `json:"work"`   // processor time in ns
	MaxRSS      int64 `json:"maxrss"` // kB
	Code        int   `json:"code"`
}

func stopwatch(argv []string) int {
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), benchMode+"=bare")
	start := time.Now()
	cmd.Run() // the exit status is in the lap
	l := lap{Nanoseconds: time.Since(start).Nanoseconds(), Code: cmd.ProcessState.ExitCode()}
	if u, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		l.MaxRSS, l.Work = u.Maxrss, u.Utime.Nano()+u.Stime.Nano()
	}
	json.NewEncoder(os.Stdout).Encode(l)
	return 0
}

// bareDump asks sock_diag for every socket and ignores the answer.
func bareDump(families ...uint8) error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	buf := make([]byte, 64<<10)
	for _, family := range families {
		if err := unix.Sendto(fd, dumpRequest(family), 0,
			&unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
			return err
		}
		for done := false; !done; {
			n, _, err := unix.Recvfrom(fd, buf, 0)
			if err != nil {
				return err
			}
			done = lastMessage(buf[:n])
		}
	}
	return nil
}

// dumpRequest is struct nlmsghdr and struct inet_diag_req_v2, all states.
func dumpRequest(family uint8) []byte {
	b := make([]byte, 72)
	b[0] = 72
	b[4] = unix.SOCK_DIAG_BY_FAMILY
	b[6], b[7] = byte(unix.NLM_F_REQUEST), byte(unix.NLM_F_DUMP>>8)
	b[16], b[17] = family, unix.IPPROTO_TCP
	b[20], b[21] = 0xff, 0x0f
	return b
}

// lastMessage walks the headers for NLMSG_DONE or NLMSG_ERROR.
func lastMessage(b []byte) bool {
	for len(b) >= 16 {
		size := int(b[0]) | int(b[1])<<8 | int(b[2])<<16
		if t := int(b[4]) | int(b[5])<<8; t == unix.NLMSG_DONE || t == unix.NLMSG_ERROR ||
			size < 16 {
			return true
		}
		b = b[min((size+3)&^3, len(b)):]
	}
	return false
}

func BenchmarkCheck(b *testing.B) {
	want, err := strconv.Atoi(os.Getenv(benchSockets))
	if err != nil {
		want = 20000
	}
	l, err := lab.Start(context.Background())
	if err != nil {
		b.Skipf("no lab here: %v", err)
	}
	defer l.Close()
	n := populate(b, l, want)
	maxconn, err := binary()
	if err != nil {
		b.Fatal(err)
	}
	b.Setenv(benchMode, "time")
	var bare, check []lap
	for b.Loop() {
		bare = append(bare, timed(b, l, os.Args[0]))
		check = append(check, timed(b, l, maxconn, "check"))
	}
	middle := func(laps []lap) lap {
		slices.SortFunc(laps, func(a, b lap) int {
			return int(a.Work - b.Work)
		})
		return laps[len(laps)/2]
	}
	b.ReportMetric(float64(n), "sockets")
	b.ReportMetric(float64(middle(bare).Work)/1e6, "bare-ms")
	b.ReportMetric(float64(middle(check).Work)/1e6, "check-ms")
	b.ReportMetric(float64(middle(check).Nanoseconds)/1e6, "check-wall-ms")
	b.ReportMetric(float64(middle(check).Work)/float64(middle(bare).Work), "ratio")
	b.ReportMetric(float64(slices.MaxFunc(check, func(a, b lap) int {
		return int(a.MaxRSS - b.MaxRSS)
	}).MaxRSS)/1024, "check-MiB")
	b.ReportMetric(0, "ns/op")
}

func timed(b *testing.B, l *lab.Lab, argv ...string) (out lap) {
	b.Helper()
	o, err := l.Run(context.Background(), nil, append([]string{os.Args[0]}, argv...)...)
	if err != nil {
		b.Fatal(err)
	}
	if err := json.Unmarshal(o.Stdout, &out); err != nil {
		b.Fatalf("%v: %s%s", err, o.Stdout, o.Stderr)
	}
	if out.Code > statusUnknown {
		b.Fatalf("%v ended with %d", argv, out.Code)
	}
	return out
}

// populate makes about n sockets of mixed states with several pairs of processes:
// established at both ends, a few thousand CLOSE_WAIT with FIN_WAIT_2, TIME_WAIT and
// unaccepted ones.
func populate(b *testing.B, l *lab.Lab, n int) (made int) {
	b.Helper()
	pairs := max(1, (n/2+perProcess-1)/perProcess)
	each := n / 2 / pairs
	var wg sync.WaitGroup
	for i := range pairs {
		server, client := spawn(b, l, fmt.Sprintf("server%d", i)),
			spawn(b, l, fmt.Sprintf("client%d", i))
		g, addr, err := server.Listen(lab.ListenSpec{Addr: at(uint16(7000 + i)),
			Backlog: 4096})
		if err != nil {
			b.Fatal(err)
		}
		var accepted lab.Opened
		wg.Go(func() {
			accepted, _ = server.Accept(lab.AcceptSpec{Listener: g, N: each,
				Within: time.Minute})
		})
		opened, err := client.Connect(lab.ConnectSpec{To: addr, N: each,
			Within: time.Minute})
		wg.Wait()
		if err != nil || opened.Count < each || accepted.Count < each {
			b.Fatalf("opened %d, accepted %d of %d: %v %v", opened.Count,
				accepted.Count, each, err, opened.Errors)
		}
		// FIN_WAIT_2 and CLOSE_WAIT
		client.Close(opened.Group, lab.CloseSpec{N: each / 10})
		// half of those to TIME_WAIT
		server.Close(accepted.Group, lab.CloseSpec{N: each / 20})
		made += 2*each - each/20
	}
	return made
}

func spawn(b *testing.B, l *lab.Lab, name string) *lab.Actor {
	b.Helper()
	a, err := l.Spawn(name)
	if err != nil {
		b.Fatal(err)
	}
	return a
}
