//go:build linux

package load

import (
	"fmt"

	"github.com/maxconn/maxconn/internal/linux/cgroup"
	"github.com/maxconn/maxconn/internal/linux/procfs"
)

// group is the cgroup of this process, with those above it. Sockets and their buffers are charged
// to it, and the kernel kills a process of it where it has nothing left to give back.
type group struct {
	tree  *cgroup.Tree
	place cgroup.Place
}

// ownGroup is nil where no cgroup that can be seen bounds memory.
func ownGroup() *group {
	mounts, err := procfs.Root("").Read("self/mountinfo")
	if err != nil {
		return nil
	}
	member, err := procfs.Root("").Read("self/cgroup")
	if err != nil {
		return nil
	}
	tree, err := cgroup.NewTree("/", mounts)
	if err != nil {
		return nil
	}
	in, err := cgroup.ParseMembership(member)
	if err != nil {
		return nil
	}
	place, err := tree.Locate("memory", in)
	if err != nil {
		return nil
	}
	return &group{tree, place}
}

// Room is what a cgroup has left, in bytes.
type Room struct {
	Path        string
	Limit, Left int64
	Kills       int64 // processes that the kernel has killed for it since it was made
}

// room is that of the level with the least left; ok is false where no level has a limit.
func (g *group) room() (tight Room, ok bool) {
	if g == nil {
		return tight, false
	}
	for _, l := range g.tree.Memory(g.place).Levels {
		if !l.Limit.Known() || !l.Usage.Known() || l.Limit.N > 1<<60 {
			continue // version 1 has a number for "no limit"
		}
		r := Room{Path: l.Path, Limit: int64(l.Limit.N),
			Left: int64(l.Limit.N) - int64(l.Usage.N)}
		if l.File.Known() {
			r.Left += int64(l.File.N)
		}
		if l.OOMKills.Known() {
			r.Kills = int64(l.OOMKills.N)
		}
		if !ok || r.Left < tight.Left {
			tight, ok = r, true
		}
	}
	return tight, ok
}

// keep is what is left alone: an eighth, at least 8 MiB, at most what a host keeps.
func (r Room) keep() int64 { return min(max(r.Limit/8, 8<<20), 512<<20) }

// String is for people.
func (r Room) String() string {
	return fmt.Sprintf("cgroup %s may have %d MiB and has %d MiB left", r.Path, r.Limit>>20,
		max(r.Left, 0)>>20)
}

// GroupRoom is what the cgroup of this process has left; ok is false where none bounds it.
func GroupRoom() (Room, bool) { return ownGroup().room() }
