// Command worst-inputs gives every reader of maxconn the worst that a file of a given size
// can hold, and measures the real program: time, memory, how both grow with ten times the
// input, and how soon SIGTERM ends it.
//
//	go run ./scripts/worst-inputs [-size 10000000] [-only REGEXP] BINARY
//
// It ends with 1 where a figure is above its bound. Two inputs run at once; one that is above
// its bound runs again alone. Time is the lower of processor and wall-clock time, the least of
// up to three runs: others' work is not the program's. On a machine that is slower than the one the
// bound was written for, the bound on time grows with what a fixed piece of work takes.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// bounds are what no input of the full size may exceed.
type bounds struct {
	seconds   float64
	mebibytes float64
	stop      float64 // seconds from SIGTERM to the end
}

func main() {
	size := flag.Int("size", 10_000_000, "bytes of the large input")
	only := flag.String("only", "", "run the cases whose name this `regexp` matches")
	limit := bounds{}
	flag.Float64Var(&limit.seconds, "seconds", 2, "the most time")
	flag.Float64Var(&limit.mebibytes, "mib", 256, "the most memory")
	flag.Float64Var(&limit.stop, "stop", 1, "the most time from SIGTERM to the end, in seconds")
	flag.Parse()
	if flag.NArg() != 1 {
		flag.Usage()
		os.Exit(64)
	}
	program, err := filepath.Abs(flag.Arg(0))
	if err == nil {
		err = measureAll(program, *size, regexp.MustCompile(*only), limit)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "worst-inputs:", err)
		os.Exit(1)
	}
}

// atOnce is how many inputs are measured side by side.
const atOnce = 2

// measureAll runs each case and prints a line of it.
func measureAll(program string, size int, only *regexp.Regexp, limit bounds) error {
	top, err := os.MkdirTemp("", "maxconn-worst-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(top)
	slower := max(reference().Seconds()/usual.Seconds(), 1)
	limit.seconds *= slower
	fmt.Printf("this machine takes %.2f times as long: at most %.2f s\n", slower, limit.seconds)
	fmt.Printf("%-34s %7s %8s %6s %6s %7s %6s\n",
		"input", "exit", "seconds", "MiB", "growth", "stopped", "")
	m := measurement{program, size, limit}
	again, err := m.sideBySide(top, slices.DeleteFunc(cases(), func(c input) bool {
		return !only.MatchString(c.name)
	}))
	if err != nil {
		return err
	}
	dir, err := workplace(top, "alone")
	if err != nil {
		return err
	}
	over := 0
	for _, c := range again {
		r, err := m.alone(dir, c)
		if err != nil {
			return err
		}
		if r.print(c, limit); r.above(limit) != "" {
			over++
		}
	}
	if over > 0 {
		return fmt.Errorf("%d inputs are above %.2f s, %g MiB or %g s to stop",
			over, limit.seconds, limit.mebibytes, limit.stop)
	}
	return nil
}

// workplace makes a directory with what the command lines of the cases name.
func workplace(top, name string) (dir string, err error) {
	dir = filepath.Join(top, name)
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", err
	}
	for _, one := range readTexts { // the input by names that tell its format
		name := filepath.Join(dir, "input."+one.file)
		if err := os.Symlink("input", name); err != nil && !os.IsExist(err) {
			return "", err
		}
	}
	return dir, os.WriteFile(filepath.Join(dir, "small.txt"),
		[]byte(beginSnapshot+endSnapshot), 0o600)
}

// sideBySide measures each case once, and returns those above their bounds.
func (m measurement) sideBySide(top string, all []input) (again []input, err error) {
	todo := make(chan input, len(all))
	for _, c := range all {
		todo <- c
	}
	close(todo)
	var printing sync.Mutex
	var g errgroup.Group
	for worker := range atOnce {
		g.Go(func() error {
			dir, err := workplace(top, strconv.Itoa(worker))
			for c := range todo {
				if err != nil {
					break
				}
				var r result
				r, err = m.once(dir, c)
				printing.Lock()
				if r.print(c, m.limit); r.above(m.limit) != "" {
					again = append(again, c)
				}
				printing.Unlock()
			}
			return err
		})
	}
	err = g.Wait()
	return again, err
}

func (r result) print(c input, limit bounds) {
	fmt.Printf("%-34s %7d %8.2f %6.0f %6.1f %7.2f %s\n", c.name, r.full.status,
		r.full.seconds, r.full.mebibytes, r.growth(), r.stopped.Seconds(), r.above(limit))
}

// result is what one case took.
type result struct {
	tenth, full figures
	stopped     time.Duration
}

// growth is how many times longer the full input took than a tenth of it; what both take
// for nothing is left out.
func (r result) growth() float64 {
	if r.tenth.seconds == 0 {
		return 0 // not measured
	}
	return max(r.full.seconds-startup, 0) / max(r.tenth.seconds-startup, startup)
}

// startup is about what the program takes for an empty file, in seconds.
const startup = 0.02

func (r result) above(limit bounds) string {
	switch {
	case r.full.killed:
		return "KILLED"
	case r.full.seconds > limit.seconds:
		return "TIME"
	case r.full.mebibytes > limit.mebibytes:
		return "MEMORY"
	case r.stopped.Seconds() > limit.stop:
		return "STOP"
	case r.full.status < 0:
		return "SIGNAL"
	}
	return ""
}
