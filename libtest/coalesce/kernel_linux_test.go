package coalesce

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/maxconn/maxconn/coalesce"
	"github.com/maxconn/maxconn/coalesce/coalescetest"
)

// copyEnv names a copy that this binary makes in place of the tests, for strace to count its
// system calls: what the connection is, which way the bytes go, and the file that they come from.
const copyEnv = "COALESCE_TEST_COPY"

// runCopy makes a copy, and is the whole life of the process.
func runCopy(arguments string) error {
	f := strings.Fields(arguments)
	file, err := os.Open(f[2])
	if err != nil {
		return err
	}
	info, err := file.Stat()
	if err != nil {
		return err
	}
	var n int64
	if f[1] == "http" {
		n, err = serveFile(f[0], f[2])
	} else {
		n, err = copyOver(f[0], f[1], file)
	}
	if err == nil && n != info.Size() {
		err = fmt.Errorf("%d of %d bytes", n, info.Size())
	}
	return err
}

// end wraps a connection of the kind, or leaves it plain, and returns its peer too.
func end(kind string) (net.Conn, net.Conn, error) {
	name, wrapped := strings.CutPrefix(kind, "coalesce+")
	var a, b net.Conn
	var err error
	switch name {
	case "dial":
		a, b, err = dialPair()
	case "listen":
		a, b, err = acceptPair()
	default:
		a, b, err = coalescetest.Connected(name)
	}
	if err == nil && wrapped {
		a = coalesce.New(a, coalesce.Config{})
	}
	return a, b, err
}

// copyOver copies the file to the connection, or through another one, and reports what arrived.
func copyOver(kind, how string, file *os.File) (int64, error) {
	conn, peer, err := end(kind)
	if err != nil {
		return 0, err
	}
	var source io.Reader = file
	if network, ok := strings.CutPrefix(how, "from-"); ok {
		from, feed, err := coalescetest.Connected(network)
		if err != nil {
			return 0, err
		}
		go func() { io.Copy(feed, file); feed.Close() }()
		source = from
	}
	got := make(chan int64)
	drop := func(from net.Conn) {
		n, _ := io.Copy(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{from})
		got <- n
	}
	switch how {
	case "to-tcp", "to-file": // out of the connection
		go func() { io.Copy(peer, file); peer.Close() }()
		if how == "to-file" {
			out, err := os.OpenFile(file.Name()+".out", os.O_CREATE|os.O_WRONLY, 0o600)
			if err != nil {
				return 0, err
			}
			return io.Copy(out, conn)
		}
		out, sink, err := coalescetest.Connected("tcp")
		if err != nil {
			return 0, err
		}
		go drop(sink)
		_, err = io.Copy(out, conn)
		out.Close()
		return <-got, err
	case "file-n":
		info, _ := file.Stat()
		source = io.LimitReader(file, info.Size())
	}
	go drop(peer)
	if _, err := io.WriteString(conn, ""); err != nil {
		return 0, err
	}
	_, err = io.Copy(conn, source)
	if closed := conn.Close(); err == nil {
		err = closed
	}
	return <-got, err
}

type oneConn struct {
	conns chan net.Conn
	addr  net.Addr
}

func (l oneConn) Accept() (net.Conn, error) {
	if c, ok := <-l.conns; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}
func (l oneConn) Close() error   { return nil }
func (l oneConn) Addr() net.Addr { return l.addr }

// serveFile fetches a file from a server that has one connection of the kind.
func serveFile(kind, path string) (int64, error) {
	conn, peer, err := end(kind)
	if err != nil {
		return 0, err
	}
	l := oneConn{make(chan net.Conn, 1), conn.LocalAddr()}
	l.conns <- conn
	go http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.ServeFile(w, r, path)
	}))
	client := &http.Client{Transport: &http.Transport{
		DialContext: func(context.Context, string, string) (net.Conn, error) {
			return peer, nil
		},
	}}
	r, err := client.Get("http://localhost/")
	if err != nil {
		return 0, err
	}
	defer r.Body.Close()
	return io.Copy(struct{ io.Writer }{io.Discard}, r.Body)
}

// Once the buffer is empty, a copy makes the system calls of a plain *net.TCPConn: the kernel
// moves the bytes, whatever is wrapped around what.
func TestTheKernelMovesTheBytes(t *testing.T) {
	strace, err := exec.LookPath("strace")
	if err != nil {
		if strings.Contains(os.Getenv("MAXCONN_REQUIRE"), "strace") {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	const size = 8 << 20
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, make([]byte, size), 0o600); err != nil {
		t.Fatal(err)
	}
	kinds := []string{
		"tcp", "coalesce+tcp", "dial", "coalesce+dial", "listen", "coalesce+listen",
	}
	for how, call := range map[string]string{
		"file": "sendfile", "file-n": "sendfile", "http": "sendfile",
		"from-tcp": "splice", "from-unix": "splice", "to-tcp": "splice",
		"to-file": "splice",
	} {
		for _, kind := range kinds {
			t.Run(how+" "+kind, func(t *testing.T) {
				calls := count(t, strace, kind+" "+how+" "+path)
				// Otherwise there is a write for each 32 KiB.
				if calls[call] == 0 || calls["write"] > size/(32<<10)/4 {
					t.Errorf("%v", calls)
				}
			})
		}
	}
	for _, kind := range []string{"unix", "coalesce+unix"} { // which has no ReadFrom of its own
		calls := count(t, strace, kind+" file "+path)
		if calls["sendfile"] == 0 || calls["write"] > size/(32<<10)/4 {
			t.Errorf("%s: %v", kind, calls)
		}
	}
}

// count runs a copy and returns the numbers of its system calls by name.
func count(t *testing.T, strace, arguments string) map[string]int {
	t.Helper()
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	log := filepath.Join(t.TempDir(), "calls")
	cmd := exec.CommandContext(t.Context(), strace, "-f", "-qq", "-c", "-o", log,
		"-e", "trace=sendfile,splice,write,writev", binary)
	cmd.Env = append(os.Environ(), copyEnv+"="+arguments)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", arguments, err, out)
	}
	table, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	calls := map[string]int{}
	for line := range strings.Lines(string(table)) {
		f := strings.Fields(line)
		if len(f) < 5 || slices.Contains(f, "total") {
			continue
		}
		if n, err := strconv.Atoi(f[3]); err == nil {
			calls[f[len(f)-1]] = n
		}
	}
	return calls
}
