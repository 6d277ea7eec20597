package observe

import (
	"fmt"
	"os"

	"github.com/maxconn/maxconn/internal/linux/cgroup"
	"github.com/maxconn/maxconn/internal/linux/procfs"
)

// mostViews is how many ancestors are looked at: under "ip netns exec" a shell or two stand
// between this process and one that sees the host's mounts.
const mostViews = 16

// views are the mounts of this process's ancestors, nearest first. They had a hand in starting
// it, and so are no more to be mistrusted than its own mounts, as those of a container would be.
type views struct {
	root  procfs.Root
	pid   int
	tried int
	open  []*os.File
}

// next makes the mounts of one more ancestor reachable, and says whether there was one.
func (v *views) next(tree *cgroup.Tree) bool {
	for v.tried < mostViews {
		v.tried++
		if v.tried == 1 {
			v.pid = os.Getppid()
		}
		if v.pid <= 0 {
			return false
		}
		if v.add(tree) == nil {
			return true
		}
	}
	return false
}

// add looks at the process v.pid, and moves on to its parent.
func (v *views) add(tree *cgroup.Tree) error {
	p, err := v.root.Open(v.pid)
	v.pid = 0
	if err != nil {
		return err
	}
	defer p.Close()
	if stat, err := p.Stat(); err == nil {
		v.pid = stat.Parent
	}
	mountinfo, err := p.Read("mountinfo")
	if err != nil {
		return err
	}
	dir, err := p.RootDir()
	if err != nil {
		return err
	}
	v.open = append(v.open, dir)
	return tree.Add(fmt.Sprintf("/proc/self/fd/%d", dir.Fd()), mountinfo)
}

func (v *views) close() {
	for _, f := range v.open {
		f.Close()
	}
}
