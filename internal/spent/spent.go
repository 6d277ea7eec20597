// Package spent holds the work of a parser to its input: a time for each byte, and no more.
// It is for fuzz targets, which find what takes longer than it should. Time is that of the
// processor for this thread, so that a busy machine and the collector of garbage do not
// count.
package spent

import (
	"testing"
	"time"
)

// What is allowed: a start, because the first use of a table may fill it, and a time for
// each byte, some ten times what is usual. What is quadratic passes it within some
// kilobytes.
const (
	start   = 500 * time.Millisecond
	perByte = 50 * time.Microsecond
)

// Within fails the test where the work on an input of this many bytes takes more than it may.
func Within(t testing.TB, size int, work func()) {
	t.Helper()
	took := processor(work)
	if most := start + time.Duration(size)*perByte; took > most {
		t.Errorf("%d bytes took %v, and may take %v", size, took, most)
	}
}
