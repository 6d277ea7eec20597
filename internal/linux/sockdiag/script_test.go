package sockdiag

import (
	"encoding/binary"
	"errors"
	"testing"

	"golang.org/x/sys/unix"
)

// What a kernel says rarely is played to a Conn over a socket pair.

const scriptPort = 77

// script is what the other side sends: the Conn's requests are 1, 2, 3.
func script(t *testing.T, datagrams ...[]byte) *Conn {
	t.Helper()
	ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	must(t, err, "socketpair")
	t.Cleanup(func() { unix.Close(ends[0]); unix.Close(ends[1]) })
	soon := unix.NsecToTimeval(1e6)
	must(t, unix.SetsockoptTimeval(ends[0], unix.SOL_SOCKET, unix.SO_RCVTIMEO, &soon),
		"SO_RCVTIMEO")
	for _, d := range datagrams {
		must(t, unix.Sendto(ends[1], d, 0, nil), "send")
	}
	return &Conn{fd: ends[0], port: scriptPort, buffer: make([]byte, 4096)}
}

func reply(kind, flags uint16, seq, port uint32, body []byte) []byte {
	b := binary.NativeEndian.AppendUint32(nil, uint32(unix.SizeofNlMsghdr+len(body)))
	b = binary.NativeEndian.AppendUint16(b, kind)
	b = binary.NativeEndian.AppendUint16(b, flags)
	b = binary.NativeEndian.AppendUint32(b, seq)
	b = binary.NativeEndian.AppendUint32(b, port)
	b = append(b, body...)
	return append(b, make([]byte, align(len(body))-len(body))...)
}

// socketReply is an IPv4 socket with a port.
func socketReply(seq uint32, sourcePort uint16) []byte {
	return reply(unix.SOCK_DIAG_BY_FAMILY, unix.NLM_F_MULTI, seq, scriptPort,
		plainBody(sourcePort))
}

func plainBody(sourcePort uint16) []byte {
	body := make([]byte, sizeofDiagMsg)
	body[0], body[1] = unix.AF_INET, byte(Established)
	binary.BigEndian.PutUint16(body[4:], sourcePort)
	return body
}

func done(seq uint32, code int32) []byte {
	return reply(unix.NLMSG_DONE, unix.NLM_F_MULTI, seq, scriptPort,
		binary.NativeEndian.AppendUint32(nil, uint32(code)))
}

func join(parts ...[]byte) (all []byte) {
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

// TestScripts dumps once, expects the error, and dumps again: whatever went
// wrong, the second dump is whole.
func TestScripts(t *testing.T) {
	errno := func(e unix.Errno) []byte {
		return binary.NativeEndian.AppendUint32(nil, uint32(-int32(e)))
	}
	interrupted := reply(unix.SOCK_DIAG_BY_FAMILY, unix.NLM_F_DUMP_INTR, 1, scriptPort,
		plainBody(10))
	long := make([]byte, 5000)
	copy(long, socketReply(1, 10))
	brokenLength := socketReply(1, 10)
	binary.NativeEndian.PutUint32(brokenLength, 4000)
	for _, test := range []struct {
		name  string
		first [][]byte
		ports []uint16
		want  error
	}{
		{"two datagrams", [][]byte{socketReply(1, 10),
			join(socketReply(1, 11), done(1, 0))}, []uint16{10, 11}, nil},
		{"other sequence",
			[][]byte{join(socketReply(9, 9), done(9, 0), socketReply(1, 10),
				done(1, 0))}, []uint16{10}, nil},
		{"other port", [][]byte{
			reply(unix.SOCK_DIAG_BY_FAMILY, 0, 1, 9, plainBody(9)),
			reply(unix.NLMSG_DONE, 0, 1, 9, nil), done(1, 0),
		}, nil, nil},
		{"no operation", [][]byte{reply(unix.NLMSG_NOOP, 0, 1, scriptPort, nil),
			done(1, 0)}, nil, nil},
		{"unknown kind", [][]byte{reply(99, 0, 1, scriptPort, nil), done(1, 0)}, nil, nil},
		{"empty end", [][]byte{reply(unix.NLMSG_DONE, 0, 1, scriptPort, nil)}, nil, nil},
		{"refused", [][]byte{reply(unix.NLMSG_ERROR, 0, 1, scriptPort, errno(unix.EPERM))},
			nil, unix.EPERM},
		{"no module", [][]byte{reply(unix.NLMSG_ERROR, 0, 1, scriptPort,
			errno(unix.EOPNOTSUPP))}, nil, unix.EOPNOTSUPP},
		{"empty error", [][]byte{reply(unix.NLMSG_ERROR, 0, 1, scriptPort, nil)}, nil,
			ErrMalformed},
		{"end with error", [][]byte{socketReply(1, 10), done(1, -int32(unix.ENOENT))},
			[]uint16{10}, unix.ENOENT},
		{"interrupted", [][]byte{join(interrupted, socketReply(1, 11)), done(1, 0)},
			[]uint16{10, 11}, ErrInterrupted},
		{"interrupted at the end", [][]byte{
			socketReply(1, 10), reply(unix.NLMSG_DONE, unix.NLM_F_DUMP_INTR, 1,
				scriptPort, nil),
		}, []uint16{10}, ErrInterrupted},
		{"overrun", [][]byte{reply(unix.NLMSG_OVERRUN, 0, 1, scriptPort, nil), done(1, 0)},
			nil, unix.ENOBUFS},
		{"truncated", [][]byte{long, done(1, 0)}, nil, ErrTruncated},
		{"truncated in the rest", [][]byte{reply(unix.NLMSG_OVERRUN, 0, 1, scriptPort, nil),
			long, done(1, 0)}, nil, unix.ENOBUFS},
		{"wrong length", [][]byte{brokenLength, done(1, 0)}, nil, ErrMalformed},
		{"wrong length in the rest",
			[][]byte{reply(unix.NLMSG_OVERRUN, 0, 1, scriptPort, nil), brokenLength,
				done(1, 0)}, nil, unix.ENOBUFS},
		{"header only", [][]byte{socketReply(1, 10)[:16], done(1, 0)}, nil, ErrMalformed},
		{"cut header", [][]byte{socketReply(1, 10)[:15], done(1, 0)}, nil, ErrMalformed},
		{"cut socket, and the end behind it", [][]byte{join(
			reply(unix.SOCK_DIAG_BY_FAMILY, 0, 1, scriptPort, make([]byte, 71)),
			socketReply(1, 9), done(1, 0),
		)}, nil, ErrMalformed},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := script(t, append(test.first, join(socketReply(2, 20), done(2, 0)))...)
			checkDump(t, c, test.ports, test.want)
			checkDump(t, c, []uint16{20}, nil)
		})
	}
}

func checkDump(t *testing.T, c *Conn, ports []uint16, want error) {
	t.Helper()
	var seen []uint16
	err := c.Dump(Request{Family: unix.AF_INET, States: AllStates}, func(s *Socket) error {
		seen = append(seen, s.Source.Port())
		return nil
	})
	var typed *Error
	if !errors.Is(err, want) || err != nil && !errors.As(err, &typed) {
		t.Errorf("error %v, want %v", err, want)
	}
	if len(seen) != len(ports) {
		t.Fatalf("ports %v, want %v", seen, ports)
	}
	for i := range ports {
		if seen[i] != ports[i] {
			t.Fatalf("ports %v, want %v", seen, ports)
		}
	}
}

func TestSilence(t *testing.T) {
	c := script(t, socketReply(1, 10))
	checkDump(t, c, []uint16{10}, unix.EAGAIN)
	checkDump(t, c, nil, unix.EAGAIN) // the first dump never ends
}

func TestClosedBeforeAnswer(t *testing.T) {
	gone := plainBody(0)
	gone[1] = byte(Close)
	kept := plainBody(20)
	kept[1] = byte(Close)
	c := script(t, join(
		reply(unix.SOCK_DIAG_BY_FAMILY, 0, 1, scriptPort, gone),
		reply(unix.SOCK_DIAG_BY_FAMILY, 0, 1, scriptPort, kept),
		done(1, 0),
		reply(unix.SOCK_DIAG_BY_FAMILY, 0, 2, scriptPort, kept),
		done(2, 0),
	))
	var states []State
	note := func(s *Socket) error { states = append(states, s.State); return nil }
	must(t, c.Dump(Request{Family: unix.AF_INET, States: AllStates}, note), "Dump")
	c.unread = nil
	if len(states) != 2 || states[0] != Close || states[1] != BoundInactive {
		t.Errorf("states %v, want CLOSE without a port, BOUND with one", states)
	}
}

// A kernel without bound sockets goes straight on to connections, or to the end.
func TestFindBound(t *testing.T) {
	const inode = 5
	own := plainBody(20)
	own[1] = byte(Close)
	binary.NativeEndian.PutUint32(own[68:], inode)
	other := plainBody(21)
	other[1] = byte(Close)
	for _, test := range []struct {
		name     string
		datagram []byte
		want     bool
	}{
		{"listed", reply(unix.SOCK_DIAG_BY_FAMILY, 0, 1, scriptPort, own), true},
		{"behind another", join(
			reply(unix.SOCK_DIAG_BY_FAMILY, 0, 1, scriptPort, other),
			reply(unix.SOCK_DIAG_BY_FAMILY, 0, 1, scriptPort, own),
		), true},
		{"not listed", done(1, 0), false},
		{"connections come first", socketReply(1, 9), false},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := script(t, test.datagram).findBound(20, inode)
			if err != nil || got != test.want {
				t.Errorf("%t, %v, want %t", got, err, test.want)
			}
		})
	}
	if _, err := script(t, reply(unix.NLMSG_ERROR, 0, 1, scriptPort, nil)).findBound(20,
		inode); !errors.Is(err, ErrMalformed) {
		t.Errorf("broken answer: %v", err)
	}
	if _, err := script(t).findBound(20, inode); !errors.Is(err, unix.EAGAIN) {
		t.Errorf("no answer: %v", err)
	}
}
