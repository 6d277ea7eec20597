package listen_test

import (
	"context"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/maxconn/maxconn/coalesce"
	"github.com/maxconn/maxconn/listen"
)

var copyRounds = flag.Int("copy-rounds", 9, "rounds of TestCopyCost")

// copied are the ways to send a file whose CPU time is compared, the plain connection first.
var copied = []struct {
	name string
	open func() (end, error)
}{
	{"plain", func() (end, error) { return pair(net.Listen("tcp", "127.0.0.1:0")) }},
	{"coalesce", coalesced(func() (end, error) {
		return pair(net.Listen("tcp", "127.0.0.1:0"))
	})},
	{"dial", dialed},
	{"listen", roomy},
	{"coalesce over dial", coalesced(dialed)},
	{"coalesce over listen", coalesced(roomy)},
}

func coalesced(open func() (end, error)) func() (end, error) {
	return func() (end, error) {
		e, err := open()
		if err == nil {
			e.own = coalesce.New(e.own.(net.Conn), coalesce.Config{})
		}
		return e, err
	}
}

// roomy is a connection that listen counts.
func roomy() (end, error) {
	l, err := listen.Config{MaxConnections: 10}.Listen(context.Background(), "tcp",
		"127.0.0.1:0")
	return pair(l, err)
}

// fileSize is what each copy sends.
const fileSize = 100 << 20

// TestCopyCost compares the CPU time of io.Copy of a file of 100 MiB through each wrapper with
// that of a plain connection, in alternating rounds. Run it with -v to see the figures. A shared
// machine may delay any single copy, so what fails is the best of each.
func TestCopyCost(t *testing.T) {
	if testing.Short() {
		t.Skip("copies 5 GiB")
	}
	path := t.TempDir() + "/file"
	if err := os.WriteFile(path, make([]byte, fileSize), 0o600); err != nil {
		t.Fatal(err)
	}
	spent := make([][]float64, len(copied))
	for range *copyRounds {
		for _, i := range rand.Perm(len(copied)) {
			cpu, err := costOfCopy(path, copied[i].open)
			if err != nil {
				t.Fatalf("%s: %v", copied[i].name, err)
			}
			spent[i] = append(spent[i], cpu)
		}
	}
	for i, kind := range copied {
		ratios := make([]float64, len(spent[i]))
		for round, cpu := range spent[i] {
			ratios[round] = cpu / spent[0][round]
		}
		slices.Sort(ratios)
		best := slices.Min(spent[i]) / slices.Min(spent[0])
		t.Logf("%-20s CPU time x plain: median %.3f (%.2f-%.2f), best to best %.3f",
			kind.name,
			ratios[len(ratios)/2], ratios[0], ratios[len(ratios)-1], best)
		if limit := 1.25; best > limit {
			t.Errorf("%s took %.2f times the CPU time of a plain connection", kind.name,
				best)
		}
	}
}

// costOfCopy is the CPU time in seconds that this process takes to send the file. Another one
// receives it.
func costOfCopy(path string, open func() (end, error)) (float64, error) {
	e, err := open()
	if err != nil {
		return 0, err
	}
	defer e.own.Close()
	receiver, err := receive(e.far.(*net.TCPConn))
	if err != nil {
		return 0, err
	}
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	from := ownTime()
	n, err := io.Copy(e.own.(io.Writer), f)
	e.own.Close()
	took := ownTime() - from
	if err == nil && n != fileSize {
		err = fmt.Errorf("%d bytes sent", n)
	}
	if failed := receiver.Wait(); err == nil {
		err = failed
	}
	return took, err
}

func receive(far *net.TCPConn) (*exec.Cmd, error) {
	f, err := far.File()
	if err != nil {
		return nil, err
	}
	defer f.Close()
	far.Close()
	cmd := exec.Command("cat")
	cmd.Stdin = f
	return cmd, cmd.Start()
}

func ownTime() float64 {
	var ru unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &ru); err != nil {
		panic(err)
	}
	return float64(ru.Utime.Nano()+ru.Stime.Nano()) / 1e9
}
