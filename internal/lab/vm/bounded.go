//go:build linux

package vm

import (
	"bytes"
	"io"
	"sync"
)

// bounded keeps the first bytes that are written to it and drops the rest. It is safe for
// concurrent use.
type bounded struct {
	limit int
	mu    sync.Mutex
	text  bytes.Buffer
}

func (b *bounded) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.text.Write(p[:min(len(p), max(b.limit-b.text.Len(), 0))])
	return len(p), nil
}

func (b *bounded) bytes() []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	return bytes.Clone(b.text.Bytes())
}

// tee writes to both; more may be nil.
func tee(to, more io.Writer) io.Writer {
	if more == nil {
		return to
	}
	return io.MultiWriter(to, more)
}
