package coalesce

import (
	"io"
	"net"
	"testing"
)

// BenchmarkWrite is the path of a message that is copied into a batch, sending included.
func BenchmarkWrite(b *testing.B) {
	for name, cfg := range map[string]Config{"auto": {},
		"budget": {Budget: NewBudget(1 << 20)}} {
		b.Run(name, func(b *testing.B) {
			x, y := pair(b)
			discard(y)
			c := New(x, cfg)
			defer c.Close()
			p := make([]byte, 64)
			b.ReportAllocs()
			for b.Loop() {
				c.Write(p)
			}
		})
	}
}

// BenchmarkRoundTrip is a lone caller that waits for its echo.
func BenchmarkRoundTrip(b *testing.B) {
	tcp := func(c net.Conn) net.Conn { return c }
	hidden := func(c net.Conn) net.Conn { return plain{c} }
	for name, wrap := range map[string]func(net.Conn) net.Conn{"tcp": tcp, "hidden": hidden} {
		b.Run(name, func(b *testing.B) {
			x, y := pair(b)
			go io.Copy(y, struct{ io.Reader }{y})
			c := New(wrap(x), Config{})
			defer c.Close()
			p := make([]byte, 64)
			b.ReportAllocs()
			for b.Loop() {
				c.Write(p)
				io.ReadFull(c, p)
			}
		})
	}
}

// BenchmarkLarge is a message that is not copied.
func BenchmarkLarge(b *testing.B) {
	x, y := pair(b)
	discard(y)
	c := New(x, Config{})
	defer c.Close()
	small, large := make([]byte, 64), make([]byte, 64<<10)
	b.SetBytes(int64(len(large)))
	b.ReportAllocs()
	for b.Loop() {
		c.Write(small)
		c.Write(large)
	}
}
