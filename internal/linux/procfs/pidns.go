package procfs

import (
	"io/fs"

	"golang.org/x/sys/unix"
)

// initialPIDNS is the inode number of the initial pid namespace
// (include/linux/proc_ns.h PROC_PID_INIT_INO, since 3.8).
const initialPIDNS = 0xEFFFFFFC

// ShowsHost reports whether this root lists the processes of the whole host:
// it knows this process, which is in the initial pid namespace. Any other pid
// namespace lacks at least the processes of its parent, and these may share a
// network namespace with it.
func (r Root) ShowsHost() (bool, error) {
	path := r.path("self/ns/pid")
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return false, &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	return st.Ino == initialPIDNS, nil
}
