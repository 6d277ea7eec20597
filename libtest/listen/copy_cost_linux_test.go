package listen_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/maxconn/maxconn/coalesce"
	"github.com/maxconn/maxconn/listen"
)

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

// BenchmarkCopyCost compares the CPU time of io.Copy of a file of 100 MiB through each wrapper with
// that of a plain connection, in alternating rounds: the median of the ratios, and the ratio of the
// least times, which others' work disturbs least. -benchtime 25x makes 25 rounds.
func BenchmarkCopyCost(b *testing.B) {
	path := b.TempDir() + "/file"
	if err := os.WriteFile(path, make([]byte, fileSize), 0o600); err != nil {
		b.Fatal(err)
	}
	spent := make([][]float64, len(copied))
	for b.Loop() {
		for _, i := range rand.Perm(len(copied)) {
			cpu, err := costOfCopy(path, copied[i].open)
			if err != nil {
				b.Fatalf("%s: %v", copied[i].name, err)
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
		name := strings.ReplaceAll(kind.name, " ", "-")
		b.ReportMetric(ratios[len(ratios)/2], name+"-median")
		b.ReportMetric(slices.Min(spent[i])/slices.Min(spent[0]), name+"-least")
	}
	b.ReportMetric(0, "ns/op")
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
