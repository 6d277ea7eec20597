package sockdiag

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"
)

func TestFind(t *testing.T) {
	want := wantFields()
	for _, scene := range scenes() {
		t.Run(scene.name, func(t *testing.T) {
			c := open(t)
			match := scene.make(t)
			plain := everything()
			plain.Memory, plain.Info = false, false
			listed := await(t, c, plain, func(s Socket) bool {
				return match(s) && s.State == want[scene.name].state
			})
			s, err := c.Find(listed.ID(), everything())
			if listed.State == BoundInactive {
				if !errors.Is(err, unix.ENOENT) {
					t.Errorf("a bound socket: %v", err)
				}
				return
			}
			must(t, err, "Find")
			if s.ID() != listed.ID() || s.fields() != want[scene.name] {
				t.Errorf("found %s %+v", s.ID(), s.fields())
			}
			if s, err := c.Find(listed.ID(), Request{}); err != nil || s.HasMemory ||
				s.HasInfo {
				t.Errorf("memory or info without being asked for: %+v, %v", s, err)
			}
		})
	}
}

// A Find reads what an abandoned dump left, and leaves the Conn usable.
func TestFindBetweenDumps(t *testing.T) {
	c := open(t)
	listener, sockets := crowd(t)
	enough := errors.New("enough")
	var id ID
	if err := c.Dump(everything(), func(s *Socket) error {
		id = s.ID()
		return enough
	}); err != enough {
		t.Fatal(err)
	}
	if s, err := c.Find(id, Request{}); err != nil || s.Cookie != id.Cookie {
		t.Fatalf("%+v, %v", s, err)
	}
	listening := await(t, c, everything(), same(t, listener))
	gone := listening.ID()
	gone.Cookie++
	var typed *Error
	if _, err := c.Find(gone, Request{}); !errors.Is(err, unix.ENOENT) ||
		!errors.As(err, &typed) {
		t.Errorf("another cookie: %v", err)
	}
	if _, err := c.Find(ID{}, Request{}); !errors.As(err, &typed) {
		t.Errorf("no socket: %v", err)
	}
	if all := list(t, c, everything()); len(all) < sockets {
		t.Errorf("%d sockets, want at least %d", len(all), sockets)
	}
}

func TestFindScripts(t *testing.T) {
	for _, test := range []struct {
		name  string
		first [][]byte
		want  error
	}{
		{"found", [][]byte{socketReply(1, 10)}, nil},
		{"refused", [][]byte{reply(unix.NLMSG_ERROR, 0, 1, scriptPort, words(1)[:3])},
			ErrMalformed},
		{"nothing but an end", [][]byte{done(1, 0)}, unix.ENOENT},
		{"broken", [][]byte{{1}}, ErrMalformed},
		{"silent", nil, unix.EAGAIN},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := script(t, test.first...)
			if _, err := c.Find(ID{}, Request{}); !errors.Is(err, test.want) {
				t.Errorf("%v, want %v", err, test.want)
			}
			if c.running {
				t.Error("the next dump would wait for the end of this answer")
			}
		})
	}
}

func BenchmarkFind(b *testing.B) {
	c := open(b)
	s := await(b, c, everything(), same(b, newPair(b, unix.AF_INET, "127.0.0.1").client))
	id := s.ID()
	b.ReportAllocs()
	for b.Loop() {
		_, err := c.Find(id, everything())
		must(b, err, "Find")
	}
}
