package listen

import "time"

// Stats is what a Listener did since it was made, and what the kernel says of its queues
// now. Figures that cannot be read are Unknown. After Close the kernel's figures are those
// at the moment of closing.
type Stats struct {
	Queued int // connections in the accept queues, waiting to be accepted
	Limit  int // sum of the queue limits; each queue takes one more than its limit
	// segments (SYN, last of a handshake) that the kernel dropped at these sockets,
	// modulo 2^32 for each; a client that retries counts again
	Drops int64

	Accepted uint64 // taken from the queues, those refused for MaxConnections included
	Open     int    // returned by Accept and not closed; Unknown without MaxConnections
	Aborted  uint64 // failed before they were accepted (ECONNABORTED and the like)
	Pauses   uint64 // times that an accept loop slept for lack of resources

	RefusedLimit uint64 // refused for MaxConnections
	RefusedFiles uint64 // refused for lack of descriptors
	// were queued at Close and nobody took them in time, or none was to (DrainTimeout
	// below zero)
	RefusedClose uint64

	DeferAccept time.Duration // as the kernel rounded it; 0: off
	FastOpen    int           // limit of the fast open queue of each shard; 0: off
	// MigrateReq is net.ipv4.tcp_migrate_req as this process sees it: 1 when a shard
	// that is closed hands its unfinished and queued connections to others on the same
	// address, 0 when they are reset (unless a BPF program of the group chooses),
	// Unknown before Linux 5.14.
	MigrateReq int

	Shards []ShardStats
}

// ShardStats is one listening socket.
type ShardStats struct {
	Queued   int
	Limit    int
	Drops    int64
	Accepted uint64
}

// Stats reads the counters and asks the kernel: a few system calls for each shard and no
// privileges. The counters are not of one instant.
func (l *Listener) Stats() Stats {
	st := Stats{Open: Unknown, MigrateReq: migrateReq()}
	if l.places != nil {
		st.Open = len(l.places)
	}
	for i, s := range l.shards {
		q := s.queue()
		if q.limit == Unknown {
			q.limit = int(s.limit.Load())
		}
		st.add(i, ShardStats{Queued: q.queued, Limit: q.limit, Drops: q.drops,
			Accepted: s.accepted.Load()})
		st.Aborted += s.aborted.Load()
		st.Pauses += s.pauses.Load()
		st.RefusedLimit += s.atLimit.Load()
		st.RefusedFiles += s.noFiles.Load()
		st.RefusedClose += s.atClose.Load()
	}
	first := l.shards[0].queue()
	st.DeferAccept, st.FastOpen = first.deferAccept, first.fastOpen
	return st
}

// add counts a shard in. One unknown part makes the sum unknown.
func (st *Stats) add(i int, s ShardStats) {
	st.Shards = append(st.Shards, s)
	st.Accepted += s.Accepted
	if i == 0 {
		st.Queued, st.Limit, st.Drops = s.Queued, s.Limit, s.Drops
		return
	}
	st.Queued, st.Limit, st.Drops = sum(st.Queued, s.Queued), sum(st.Limit, s.Limit),
		sum(st.Drops, s.Drops)
}

func sum[T int | int64](a, b T) T {
	if a == Unknown || b == Unknown {
		return Unknown
	}
	return a + b
}

// queue is what the kernel says of one listening socket.
type queue struct {
	queued, limit int
	drops         int64
	deferAccept   time.Duration
	fastOpen      int
}

func (s *shard) queue() queue {
	if last := s.last.Load(); last != nil {
		return *last
	}
	return readQueue(s.raw)
}
