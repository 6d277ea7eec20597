package observe

import (
	"context"

	"github.com/maxconn/maxconn/internal/linux/netns"
)

// LookFor finds the holder of a listener by its inode, in life's /proc: how many descriptors were
// read for it, by whom it is held, and how many descriptors these processes have.
func LookFor(subject netns.ID, inode uint32) (reads int, pid int, files int) {
	o := findOwners(context.Background(), "", subject, watch([]uint32{inode}))
	defer o.close()
	o.search(context.Background(), []uint32{inode})
	for _, h := range o.holders {
		files += h.files
	}
	if first := o.watched[inode].first(); first != nil {
		pid = first.pid
	}
	return o.reads, pid, files
}
