//go:build linux

package lab

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/netip"
	"syscall"
	"testing"
	"testing/iotest"
)

func readLines(r io.Reader) ([]string, error) {
	in := &lines{read: r.Read}
	var out []string
	for {
		line, err := in.next()
		if err != nil {
			return out, err
		}
		out = append(out, string(line))
	}
}

func TestLines(t *testing.T) {
	text := "one\n\nthree\nunfinished"
	for _, r := range []io.Reader{
		bytes.NewReader([]byte(text)), iotest.OneByteReader(bytes.NewReader([]byte(text))),
		iotest.DataErrReader(bytes.NewReader([]byte(text))),
	} {
		got, err := readLines(r)
		if err != io.EOF || len(got) != 3 || got[0] != "one" || got[1] != "" ||
			got[2] != "three" {
			t.Errorf("lines are %q, %v", got, err)
		}
	}
}

func TestLinesAreBounded(t *testing.T) {
	endless := iotest.DataErrReader(bytes.NewReader(make([]byte, 3*maxLine)))
	if _, err := readLines(endless); !errors.Is(err, errLongLine) {
		t.Errorf("an endless line ends in %v", err)
	}
	if _, err := encode(make([]int, maxLine)); !errors.Is(err, errLongLine) {
		t.Errorf("encoding a long line ends in %v", err)
	}
}

// A time-out in the middle of a line must lose nothing.
func TestLinesSurviveATimeout(t *testing.T) {
	parts := []string{"ab", "", "c\nd"}
	in := &lines{read: func(b []byte) (int, error) {
		part := parts[0]
		parts = parts[1:]
		if part == "" {
			return 0, iotest.ErrTimeout
		}
		return copy(b, part), nil
	}}
	if _, err := in.next(); err != iotest.ErrTimeout {
		t.Fatalf("next = %v", err)
	}
	if line, err := in.next(); err != nil || string(line) != "abc" {
		t.Errorf("next = %q, %v", line, err)
	}
}

func FuzzLines(f *testing.F) {
	f.Add([]byte("{}\n{\"id\":1}\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, _ := readLines(bytes.NewReader(b))
		if len(got) != bytes.Count(b, []byte("\n")) {
			t.Errorf("%d lines of %q", len(got), b)
		}
	})
}

// The worker must answer whatever comes, with the request's number if it has one.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte(`{"id":7,"verb":"echo","args":{"n":3,"to":"127.0.0.1:80"}}`))
	f.Add([]byte(`{"id":8,"verb":"echo","args":{"within":-1,"to":"nowhere"}}`))
	f.Add([]byte(`{"id":9,"verb":"none"}`))
	f.Add([]byte(`not json`))
	f.Fuzz(func(t *testing.T, line []byte) {
		w := &worker{groups: map[Group][]int{}, verbs: map[string]handler{
			"echo": verb(func(_ *worker, c ConnectSpec) (ConnectSpec, error) {
				return c, nil
			}),
		}}
		resp := w.answer(line)
		if (resp.Fault == nil) == (resp.Result == nil) {
			t.Errorf("answer to %q is %+v", line, resp)
		}
		var req request
		if json.Unmarshal(line, &req) == nil && resp.ID != req.ID {
			t.Errorf("answer to %d has number %d", req.ID, resp.ID)
		}
	})
}

func TestSpoofedSourcesAreDistinct(t *testing.T) {
	seen := map[netip.AddrPort]bool{}
	for i := range 1 << 18 {
		s := spoofedSource(i)
		if seen[s] || !sourceNet().Contains(s.Addr()) {
			t.Fatalf("source %d is %v", i, s)
		}
		seen[s] = true
	}
	for _, addr := range []string{"198.18.0.0", "198.19.255.255"} {
		if seen[netip.AddrPortFrom(netip.MustParseAddr(addr), 40000)] {
			t.Errorf("%s is used", addr)
		}
	}
}

func TestErrnoNames(t *testing.T) {
	for errno, want := range map[syscall.Errno]string{
		syscall.EADDRNOTAVAIL: "EADDRNOTAVAIL", syscall.EMFILE: "EMFILE",
		syscall.EINPROGRESS: "EINPROGRESS", 4095: "errno 4095",
	} {
		if have := errnoName(errno); have != want {
			t.Errorf("%v is spelled %s", want, have)
		}
	}
}
