package sockdiag

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Captures are answers of a real kernel, one socket a file: a comment with the
// origin, the bytes behind struct nlmsghdr in hex, and what they mean.
// go test -run TestRecord -record writes them again.

const captures = "testdata/captures"

type capture struct {
	name, origin, meaning string
	body                  []byte
}

func (c capture) file() string { return filepath.Join(captures, c.name+".txt") }

func (c capture) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n", c.origin)
	for rest := c.body; len(rest) > 0; rest = rest[min(32, len(rest)):] {
		fmt.Fprintf(&b, "%s\n", hex.EncodeToString(rest[:min(32, len(rest))]))
	}
	fmt.Fprintf(&b, "# means\n%s\n", c.meaning)
	return b.String()
}

func readCapture(path string) (capture, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return capture{}, err
	}
	origin, rest, _ := strings.Cut(string(text), "\n")
	digits, meaning, found := strings.Cut(rest, "# means\n")
	if !found {
		return capture{}, errors.New(path + ": no meaning")
	}
	body, err := hex.DecodeString(strings.ReplaceAll(digits, "\n", ""))
	if err != nil {
		return capture{}, fmt.Errorf("%s: %w", path, err)
	}
	name := strings.TrimSuffix(filepath.Base(path), ".txt")
	return capture{name, strings.TrimPrefix(origin, "# "), strings.TrimSpace(meaning), body},
		nil
}

// readCaptures returns all of them, or none on a machine of the other byte order.
func readCaptures(tb testing.TB) (all []capture) {
	tb.Helper()
	if binary.NativeEndian.Uint16([]byte{1, 0}) != 1 {
		return nil
	}
	paths, err := filepath.Glob(filepath.Join(captures, "*.txt"))
	must(tb, err, "glob")
	if len(paths) == 0 {
		tb.Fatal("no captures")
	}
	for _, path := range paths {
		c, err := readCapture(path)
		must(tb, err, "capture")
		all = append(all, c)
	}
	return all
}

// meaning prints every field, one a line.
func meaning(s Socket) string {
	lines := []string{
		fmt.Sprintf("family %d", s.Family),
		fmt.Sprintf("state %s", s.State),
		fmt.Sprintf("source %s", s.Source),
		fmt.Sprintf("destination %s", s.Destination),
		fmt.Sprintf("interface %d", s.Interface),
		fmt.Sprintf("cookie %d", s.Cookie),
		fmt.Sprintf("queues %d %d", s.ReceiveQueue, s.SendQueue),
		fmt.Sprintf("timer %d in %d ms, %d retransmits", s.Timer, s.ExpiresMillis,
			s.Retransmits),
		fmt.Sprintf("owner %t uid %d inode %d", s.HasOwner, s.UID, s.Inode),
		fmt.Sprintf("memory %t %+v", s.HasMemory, s.Memory),
		fmt.Sprintf("drops %t %d", s.HasDrops, s.Drops),
		fmt.Sprintf("info %t received %d sent %d acknowledged %d ms ago, timestamps %t",
			s.HasInfo,
			s.LastDataReceived, s.LastDataSent, s.LastAckReceived, s.Timestamps),
		fmt.Sprintf("cgroup %t %d", s.HasCgroup, s.CgroupID),
		fmt.Sprintf("v6only %t %t", s.HasV6Only, s.V6Only),
		fmt.Sprintf("sockopt %t bind address no port %t", s.HasSockopt,
			s.BindAddressNoPort),
	}
	return strings.Join(lines, "\n")
}

var record = flag.Bool("record", false, "write testdata/captures again from this kernel")

func TestRecord(t *testing.T) {
	if !*record {
		t.Skip("only with -record")
	}
	must(t, os.MkdirAll(captures, 0o755), "mkdir")
	for _, scene := range scenes() {
		t.Run(scene.name, func(t *testing.T) {
			c := open(t)
			match := scene.make(t)
			await(t, c, everything(), match)
			got := capture{name: scene.name, origin: origin(t),
				body: answer(t, c, match)}
			var s Socket
			must(t, parse(got.body, &s), "parse")
			got.meaning = meaning(s)
			must(t, os.WriteFile(got.file(), []byte(got.text()), 0o644), "write")
		})
	}
}

// answer returns the bytes for one socket.
func answer(t *testing.T, c *Conn, match func(Socket) bool) (body []byte) {
	t.Helper()
	must(t, c.send(everything(), nil), "send")
	for c.running {
		m, err := c.next()
		must(t, err, "next")
		found, err := c.decode(m, everything())
		must(t, err, "decode")
		if found && match(c.socket) {
			body = append([]byte(nil), m.body...)
		}
	}
	if body == nil {
		t.Fatal("the socket is gone")
	}
	return body
}

func origin(t *testing.T) string {
	t.Helper()
	var u unix.Utsname
	must(t, unix.Uname(&u), "uname")
	release, _, _ := strings.Cut(unix.ByteSliceToString(u.Release[:]), "-")
	return fmt.Sprintf(
		"Linux %s %s, CAP_NET_ADMIN, a network namespace of its own, with SKMEMINFO "+
			"and INFO",
		release, unix.ByteSliceToString(u.Machine[:]))
}
