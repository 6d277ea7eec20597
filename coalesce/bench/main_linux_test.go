// Package bench measures coalesce against the usual ways of writing to a
// shared connection. See the README of coalesce.
package bench

import (
	"flag"
	"fmt"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

var (
	tables = flag.String("tables", "",
		"tables to measure, separated by commas: rr, sat, paced, bursts, hogs, pipe, "+
			"tls, or all")
	rounds = flag.Int("rounds", 5, "runs of each variant, in shuffled order")
	spare  = flag.Int("spare", 6,
		"rounds that may be dropped, because other programs used the CPUs, and made again")
	span     = flag.Duration("span", 500*time.Millisecond, "measured time of one run")
	warm     = flag.Duration("warm", 150*time.Millisecond, "time before it")
	noIdle   = flag.Bool("awake", false, "keep the processors from going idle")
	busy     = flag.Int("busy", 0, "processors that another program keeps busy")
	only     = flag.String("variants", "", "variants to measure, separated by commas")
	cases    = flag.String("cases", "", "cases to measure, separated by semicolons")
	benchfmt = flag.String("benchfmt", "",
		"append the runs to this file, for benchstat -col /variant")
	profile = flag.String("profile", "",
		"write a CPU profile of the measured times to this file")
)

// childEnv names the role of a process that is the other end of a
// measurement. It is this binary again, so that nothing else has to be installed, in a loop of raw
// system calls that leaves the Go runtime out of the result.
const childEnv = "COALESCE_BENCH_CHILD"

func TestMain(m *testing.M) {
	role := os.Getenv(childEnv)
	if role == "" {
		os.Exit(m.Run())
	}
	if err := runChild(role); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// started and startedAt are one moment on Go's clock and on CLOCK_MONOTONIC,
// which all processes share. Reading Go's takes no system call.
var started, startedAt = bothClocks()

func bothClocks() (time.Time, int64) {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		panic(err)
	}
	return time.Now(), ts.Nano()
}

// stamp is CLOCK_MONOTONIC in ns.
func stamp() int64 { return startedAt + int64(time.Since(started)) }
