package observe

import "github.com/maxconn/maxconn/internal/linux/sockdiag"

// sample keeps a few sockets of a row for a second look (see ages). The kernel dumps in the order
// of a hash, so the first ones are as good as any.
type sample struct{ ids []sockdiag.ID }

// add keeps a socket, if fewer than max are kept.
func (s *sample) add(k *sockdiag.Socket, max int) {
	if len(s.ids) >= max {
		return
	}
	if s.ids == nil {
		s.ids = make([]sockdiag.ID, 0, max)
	}
	s.ids = append(s.ids, k.ID())
}
