// Package coalesce_test shows how programs that people use adopt coalesce: one line for a server,
// one for a client. Each test does the same work before and after, and counts the system calls
// that write.
package coalesce_test

import (
	"bufio"
	"bytes"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/maxconn/maxconn/coalesce"
)

// adoption is how a program listens and dials, before and after.
type adoption struct {
	name   string
	listen func(l net.Listener) net.Listener
	dial   coalesce.DialFunc
}

var (
	before = adoption{"before",
		func(l net.Listener) net.Listener { return l },
		new(net.Dialer).DialContext,
	}
	after = adoption{"after",
		func(l net.Listener) net.Listener {
			return coalesce.NewListener(l, coalesce.Config{})
		},
		coalesce.DialContext(new(net.Dialer).DialContext, coalesce.Config{}),
	}
)

func listen(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// writes is the number of system calls that write, of this whole process. The runtime's own,
// which wake threads, are among them.
func writes(t testing.TB) int64 {
	t.Helper()
	text, err := os.ReadFile("/proc/self/io")
	if err != nil {
		t.Skip("needs Linux: ", err)
	}
	for in := bufio.NewScanner(bytes.NewReader(text)); in.Scan(); {
		if value, ok := strings.CutPrefix(in.Text(), "syscw: "); ok {
			n, err := strconv.ParseInt(value, 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatalf("%s", text)
	return 0
}

// compare does work before and after, and returns the system calls of both for each message.
func compare(t *testing.T, messages int, work func(t *testing.T, a adoption) (start func())) {
	t.Helper()
	var calls [2]float64
	for i, a := range []adoption{before, after} {
		start := work(t, a)
		from := writes(t)
		start()
		calls[i] = float64(writes(t)-from) / float64(messages)
		t.Logf("%s: %.3f system calls that write, a message", a.name, calls[i])
	}
	if calls[1] > calls[0]/2 {
		t.Errorf("not half as many: %.3f, %.3f", calls[0], calls[1])
	}
}
