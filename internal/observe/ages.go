package observe

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/linux/sockdiag"
)

// finder asks the kernel for one socket again (sockdiag.Conn).
type finder interface {
	Find(sockdiag.ID, sockdiag.Request) (*sockdiag.Socket, error)
}

// noFinder stands for a Conn that failed.
type noFinder struct{ err error }

func (n noFinder) Find(sockdiag.ID, sockdiag.Request) (*sockdiag.Socket, error) {
	return nil, n.err
}

// look asks again for the sockets of a sample, with tcp_info, and calls each for those that are
// still there.
func look(ctx context.Context, f finder, ids []sockdiag.ID, each func(*sockdiag.Socket)) {
	for _, id := range ids {
		if ctx.Err() != nil {
			return
		}
		if s, err := f.Find(id, sockdiag.Request{Info: true}); err == nil && s.HasInfo {
			each(s)
		}
	}
}

// waits tells how long the connections of a sample have waited for accept(). The time since data
// was last sent is that since the connection was made, because nobody can have sent anything
// (tcp_minisocks.c tcp_create_openreq_child sets lsndtime); the times of receiving start anew with
// what the client sends.
func waits(ctx context.Context, f finder, s *sample) (oldest, youngest host.Age) {
	var low, high time.Duration
	n := 0
	look(ctx, f, s.ids, func(k *sockdiag.Socket) {
		if k.Inode != 0 {
			return // accepted meanwhile
		}
		wait := millis(k.LastDataSent)
		if n++; n == 1 {
			low = wait
		}
		low, high = min(low, wait), max(high, wait)
	})
	if n == 0 {
		return "", ""
	}
	return host.AgeOf(high), host.AgeOf(low)
}

// closeWaitAge is a time that at least half of the sockets of a sample have been in CLOSE_WAIT:
// each at least since the last ACK, for the FIN carried one.
func closeWaitAge(ctx context.Context, f finder, s *sample) host.Age {
	var ages []time.Duration
	look(ctx, f, s.ids, func(k *sockdiag.Socket) {
		if k.State == sockdiag.CloseWait {
			ages = append(ages, millis(k.LastAckReceived))
		}
	})
	if len(ages) == 0 {
		return ""
	}
	slices.SortFunc(ages, func(a, b time.Duration) int { return cmp.Compare(b, a) })
	return host.AgeOf(ages[(len(ages)-1)/2])
}

// timestamps tells whether a connection uses TCP timestamps: "yes", "no", or "" where it is gone.
func timestamps(ctx context.Context, f finder, id sockdiag.ID) (answer string) {
	if id.Cookie == 0 {
		return ""
	}
	look(ctx, f, []sockdiag.ID{id}, func(k *sockdiag.Socket) { answer = yesNo(k.Timestamps) })
	return answer
}

func millis(n uint32) time.Duration { return time.Duration(n) * time.Millisecond }

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
