package knob

import "testing"

// Measured on Linux 6.18 with a listener whose accept queue is full; 6 and 4 are the defaults since
// 6.5, 6 and 0 those before.
func TestSYNs(t *testing.T) {
	for _, c := range []struct{ retries, linear, repeated, seconds int64 }{
		{1, 0, 1, 3}, {2, 0, 2, 7}, {1, 4, 2, 3}, {2, 4, 5, 7}, {6, 0, 6, 127},
		{6, 4, 10, 131},
	} {
		repeated, seconds := SYNs(c.retries, c.linear)
		if repeated != c.repeated || seconds != c.seconds {
			t.Errorf("tcp_syn_retries=%d, linear %d: %d repetitions, %d s; want %d, %d",
				c.retries, c.linear, repeated, seconds, c.repeated, c.seconds)
		}
	}
}
