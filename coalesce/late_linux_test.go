package coalesce

import (
	"syscall"
	"testing"
)

// lateRaw does something after each write to the socket, before the Conn learns of it.
type lateRaw struct {
	syscall.RawConn
	after func()
}

func (r lateRaw) Write(f func(fd uintptr) bool) error {
	defer r.after()
	return r.RawConn.Write(f)
}

// A message that was sent completely is accepted, though CloseNow came before its writer knew.
func TestSentIsAcceptedDespiteCloseNow(t *testing.T) {
	for name, prepare := range map[string]func(c *Conn){
		"immediate": func(c *Conn) { c.set.Policy = Immediate; c.gate |= gateEager },
		"inline":    func(c *Conn) { c.flag |= inline },
	} {
		a, b := pair(t)
		defer b.Close()
		c := New(a, Config{})
		prepare(c)
		closed := make(chan error, 1)
		c.raw = lateRaw{c.raw, func() {
			go func() { closed <- c.CloseNow() }()
			for c.Err() == nil {
			}
		}}
		if err := c.TryWrite([]byte("message")); err != nil {
			t.Errorf("%s: %v, and yet all was sent", name, err)
		}
		<-closed
		if s := c.Stats(); s.Accepted != 7 || s.Sent != 7 {
			t.Errorf("%s: %d accepted, %d sent", name, s.Accepted, s.Sent)
		}
	}
}
