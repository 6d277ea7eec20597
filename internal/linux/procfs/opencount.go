package procfs

import (
	"golang.org/x/sys/unix"
)

// OpenCount returns how many descriptors the process has open.
//
// Since 6.2 (f1f1f2569901) the kernel counts them as the size of the directory
// fd, at the cost of one system call and for any user. Before, the entries are
// counted, some 0.75 to 3 microseconds each, which needs the permission that
// ptrace asks for. Which of the two is found out from the behaviour of the
// mount and not from the release. Asked about the reader's own process, the
// count includes the descriptors that reading takes.
func (p *Process) OpenCount() (int, error) {
	n, err := p.openCount("")
	if n != 0 {
		return n, nil
	}
	// None, or no permission: true of a few processes, and of every thread
	// that is exiting, whose directory belongs to root.
	thread, gone := p.liveThread()
	switch {
	case gone != nil:
		return 0, p.failure("stat", "fd", gone)
	case thread == "":
		return 0, err
	}
	return p.openCount(thread)
}

func (p *Process) openCount(thread string) (int, error) {
	name := thread + "fd"
	var st unix.Stat_t
	if err := unix.Fstatat(p.dir, name, &st, 0); err != nil {
		return 0, p.failure("stat", name, err)
	}
	if p.sized(st.Size) {
		return int(st.Size), nil
	}
	return p.countEntries(name)
}

// sized reports whether the size of a directory fd is the number of its
// entries. A size above zero on a proc file system is; a copy of one on disk
// has sizes of its own. Zero is believed if the reader's own directory, which
// has at least one entry, has a size.
func (p *Process) sized(size int64) bool {
	var on unix.Statfs_t
	if unix.Fstatfs(p.dir, &on) != nil || int64(on.Type) != unix.PROC_SUPER_MAGIC {
		return false
	}
	if size > 0 {
		return true
	}
	var own unix.Stat_t
	err := unix.Fstatat(unix.AT_FDCWD, p.root.path("self/fd"), &own, 0)
	return err == nil && own.Size > 0
}

func (p *Process) countEntries(name string) (int, error) {
	dir, err := openDir(p.dir, name)
	if err != nil {
		return 0, p.failure("open", name, err)
	}
	defer unix.Close(dir)
	count := 0
	list := newDirents(dir, make([]byte, 4096))
	for {
		entry, ok, err := list.next()
		if err != nil {
			return 0, p.failure("readdir", name, err)
		}
		if !ok {
			return count, nil
		}
		if _, ok := decimal(entry); ok {
			count++
		}
	}
}
