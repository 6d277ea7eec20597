package live

import (
	"cmp"
	"slices"
	"time"
)

const (
	// worthy is the share of its ceiling from which on a row is worth a seat.
	worthy = 0.05
	// leave is how long a row keeps its seat after it was worth one.
	leave = 15 * time.Minute
)

// ranked is a row of a table that wants a seat.
type ranked struct {
	key   string
	share float64 // of its ceiling
	size  int64   // in connections, to rank what has no ceiling
}

// seats are the keys of the rows of one table that are shown, with the time at which each was last
// worth it. There are never more than max.
type seats struct {
	max int
	at  map[string]time.Time
}

// assign decides which of the rows are shown. A row that comes takes a free seat, or that of the
// emptiest one that is not worth its own.
func (s *seats) assign(now time.Time, rows []ranked) {
	if s.at == nil {
		s.at = map[string]time.Time{}
	}
	slices.SortFunc(rows, func(a, b ranked) int {
		return cmp.Or(cmp.Compare(b.share, a.share), cmp.Compare(b.size, a.size),
			cmp.Compare(a.key, b.key))
	})
	share := make(map[string]float64, s.max)
	for i, r := range rows {
		if _, seated := s.at[r.key]; seated {
			share[r.key] = r.share
			if r.share >= worthy || i < s.max {
				s.at[r.key] = now
			}
		}
	}
	for key, last := range s.at {
		if now.Sub(last) >= leave {
			delete(s.at, key)
		}
	}
	for _, r := range rows {
		if _, seated := s.at[r.key]; seated {
			continue
		}
		if len(s.at) >= s.max && (r.share < worthy || !s.evict(share, r.share)) {
			break // the rows that follow are no fuller
		}
		s.at[r.key], share[r.key] = now, r.share
	}
}

// evict takes the seat of the emptiest row, if that is emptier than a share.
func (s *seats) evict(share map[string]float64, than float64) bool {
	least, key := than, ""
	for k := range s.at {
		if x := share[k]; x < least || x == least && key != "" && k < key {
			least, key = x, k
		}
	}
	if key == "" {
		return false
	}
	delete(s.at, key)
	return true
}

func (s *seats) has(key string) bool { _, ok := s.at[key]; return ok }
