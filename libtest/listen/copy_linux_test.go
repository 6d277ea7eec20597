package listen_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/maxconn/maxconn/dial"
	"github.com/maxconn/maxconn/listen"
)

// copyVar makes the test binary the program that TestCopiesInsideTheKernel traces. It names
// the directory to work in.
const copyVar = "MAXCONN_LISTEN_COPY"

const copySize = 1 << 20

// end is one side of a copy, and what is at its other side.
type end struct {
	own io.ReadWriteCloser
	far net.Conn
}

// kinds are what bytes are copied from and to. A wrapper is held to what the plain kind does.
var kinds = []struct {
	name, plain string
	open        func(dir string) (end, error)
}{
	{"tcp", "tcp", func(string) (end, error) { return pair(net.Listen("tcp", "127.0.0.1:0")) }},
	{"unix", "unix", func(dir string) (end, error) {
		return pair(net.Listen("unix", dir+"/plain"))
	}},
	{"listen-tcp", "tcp", func(string) (end, error) { return limited("tcp", "127.0.0.1:0") }},
	{"listen-unix", "unix", func(dir string) (end, error) {
		return limited("unix", dir+"/limited")
	}},
	{"dial", "tcp", func(string) (end, error) { return dialed() }},
	{"file", "file", func(dir string) (end, error) {
		f, err := os.OpenFile(filepath.Join(dir, "file"), os.O_RDWR|os.O_CREATE, 0o600)
		if err == nil {
			_, err = f.Write(make([]byte, copySize))
		}
		if err == nil {
			_, err = f.Seek(0, io.SeekStart)
		}
		return end{own: f}, err
	}},
}

// pair is the accepted end of a connection.
func pair(l net.Listener, err error) (end, error) {
	if err != nil {
		return end{}, err
	}
	defer l.Close()
	far, err := net.Dial(l.Addr().Network(), l.Addr().String())
	if err != nil {
		return end{}, err
	}
	own, err := l.Accept()
	return end{own, far}, err
}

func limited(network, address string) (end, error) {
	return pair(listen.Config{MaxConnections: 1}.Listen(context.Background(), network, address))
}

func dialed() (end, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return end{}, err
	}
	defer l.Close()
	d := &dial.Dialer{Sources: []netip.Addr{netip.MustParseAddr("127.0.0.1")}}
	own, err := d.Dial("tcp", l.Addr().String())
	if err != nil {
		return end{}, err
	}
	far, err := l.Accept()
	return end{own, far}, err
}

// ways are the calls that begin a copy. One that the types do not have copies nothing.
var ways = map[string]func(to io.Writer, from io.Reader) (int64, error){
	"io.Copy": io.Copy,
	"io.CopyN": func(to io.Writer, from io.Reader) (int64, error) {
		return io.CopyN(to, from, copySize)
	},
	"ReadFrom": func(to io.Writer, from io.Reader) (int64, error) {
		if to, ok := to.(io.ReaderFrom); ok {
			return to.ReadFrom(from)
		}
		return -1, nil
	},
	"WriteTo": func(to io.Writer, from io.Reader) (int64, error) {
		if from, ok := from.(io.WriterTo); ok {
			return from.WriteTo(to)
		}
		return -1, nil
	},
}

// copyAll copies everything to everything. Before each copy it asks for a file that names
// it, so that the trace shows it.
func copyAll() {
	dir := os.Getenv(copyVar)
	for _, from := range kinds {
		for _, to := range kinds {
			for way, do := range ways {
				if from.name == "file" && to.name == "file" {
					continue
				}
				mark := strings.Join([]string{way, to.name, from.name}, " ")
				unix.Access("/case/"+mark, 0)
				n, err := copyOne(dir, from.open, to.open, do)
				unix.Access("/case/none", 0)
				if err != nil || n != copySize && n != -1 {
					fmt.Fprintf(os.Stderr, "%s: copied %d, %v\n", mark, n, err)
					os.Exit(1)
				}
				if n != -1 {
					fmt.Println(mark)
				}
				os.RemoveAll(dir + "/file")
				os.RemoveAll(dir + "/plain")
				os.RemoveAll(dir + "/limited")
			}
		}
	}
}

// copyOne copies once, and checks what arrives.
func copyOne(
	dir string, open, openTo func(string) (end, error),
	do func(io.Writer, io.Reader) (int64, error),
) (int64, error) {
	from, err := open(dir)
	if err != nil {
		return 0, err
	}
	defer from.own.Close()
	to, err := openTo(dir)
	if err != nil {
		return 0, err
	}
	if from.far != nil {
		go func() { from.far.Write(make([]byte, copySize)); from.far.Close() }()
	}
	arrived := make(chan int64, 1)
	if to.far != nil {
		defer to.far.Close()
		go func() {
			n, _ := io.Copy(struct{ io.Writer }{io.Discard},
				struct{ io.Reader }{to.far})
			arrived <- n
		}()
	}
	n, err := do(to.own, from.own)
	to.own.Close()
	if to.far != nil && n != -1 {
		if got := <-arrived; got != n {
			err = errors.Join(err, fmt.Errorf("%d bytes arrived", got))
		}
	}
	return n, err
}

// beyond says which copies cannot be helped: a plain *net.TCPConn is given a wrapper by a
// call of its own, or a wrapper of another package inside of a LimitedReader. io.Copy has
// no such case.
func beyond(way, to, from string) bool {
	wrapped := func(kind string) bool {
		return kind != "tcp" && kind != "unix" && kind != "file"
	}
	switch {
	case !wrapped(from) || to == "file":
		return false
	case way == "ReadFrom":
		return to == "tcp"
	case way == "io.CopyN":
		return to == "tcp" || strings.HasPrefix(to, "listen") != strings.HasPrefix(from,
			"listen")
	}
	return false
}

// Whatever is copied from and to, by whichever call, wrappers cost no copy through the
// program where plain connections cost none.
func TestCopiesInsideTheKernel(t *testing.T) {
	strace, err := exec.LookPath("strace")
	if err != nil {
		unavailable(t, err)
	}
	cmd := exec.Command(strace, "-f", "-qq", "-s", "200", "-e",
		"trace=sendfile,splice,access,faccessat,faccessat2", "/proc/self/exe")
	cmd.Args[len(cmd.Args)-1], err = os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Env = append(os.Environ(), copyVar+"="+t.TempDir())
	var out, trace bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &trace
	if err := cmd.Run(); err != nil {
		if strings.Contains(trace.String(), "ptrace") {
			unavailable(t, fmt.Errorf("%w: %s", err, trace.String()))
		}
		t.Fatalf("%v\n%s", err, last(trace.String(), 2000))
	}
	moved := readTrace(t, trace.String())
	plain := map[string]string{}
	for _, k := range kinds {
		plain[k.name] = k.plain
	}
	fast := 0
	for mark := range strings.Lines(out.String()) {
		f := strings.Fields(mark)
		way, to, from := f[0], f[1], f[2]
		want := moved[strings.Join([]string{"io.Copy", plain[to], plain[from]}, " ")]
		if way == "io.CopyN" {
			want = moved[strings.Join([]string{way, plain[to], plain[from]}, " ")]
		}
		got := moved[strings.TrimSpace(mark)]
		if want >= copySize {
			fast++
		}
		if want >= copySize && got < copySize && !beyond(way, to, from) {
			t.Errorf("%s to %s from %s: %d bytes inside the kernel, plain "+
				"connections %d", way, to, from, got, want)
		}
	}
	if fast < 30 {
		t.Errorf("only %d copies between plain connections are made inside the kernel: "+
			"is the trace read?", fast)
	}
}

// unavailable skips a test that needs strace, or fails it where that is required.
func unavailable(t *testing.T, err error) {
	t.Helper()
	if strings.Contains(os.Getenv("MAXCONN_REQUIRE"), "strace") {
		t.Fatal(err)
	}
	t.Skip(err)
}

func last(text string, n int) string { return text[max(0, len(text)-n):] }

var traced = regexp.MustCompile(`(sendfile|splice)(?:\(| resumed>).* = (\d+)$|/case/([^"]*)"`)

// readTrace gives, for each case, how many bytes did not come through the program. Splicing
// moves each twice.
func readTrace(t *testing.T, text string) map[string]int {
	t.Helper()
	moved := map[string]int{}
	now := "none"
	for line := range strings.Lines(text) {
		m := traced.FindStringSubmatch(strings.TrimSpace(line))
		switch {
		case m == nil:
		case m[3] != "":
			now = m[3]
		default:
			n, err := strconv.Atoi(m[2])
			if err != nil {
				t.Fatal(err)
			}
			if m[1] == "sendfile" {
				n *= 2
			}
			moved[now] += n
		}
	}
	for mark := range moved {
		moved[mark] /= 2
	}
	return moved
}
