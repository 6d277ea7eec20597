package procfs

import (
	"bytes"
	"encoding/binary"
	"math"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Files walks the open descriptors of a process in ascending order, unless
// [Files.Scatter] says otherwise, each at most once: a walk that was stopped goes
// on where it was. The process must stay open for as long. Not for concurrent
// use. Close it.
//
// A descriptor costs two visits to the kernel's directory cache, some 5
// microseconds for the first reader and 3 for the next. Threads that unshared
// their descriptor table (CLONE_FILES) have walks of their own: [Process.Tables].
type Files struct {
	process *Process
	dir     int
	thread  string // whose table is walked, as by liveThread
	fixed   bool   // no other thread has that table
	list    dirents
	next    int      // lowest descriptor that has not been read, in ascending order
	order   *scatter // in which the rest is read; nil: ascending
	done    bool
	counts  Counts
	link    [32]byte // "socket:[4294967295]" needs 19; a cut link is no socket
}

// direntBytes is room for some 170 descriptors: the kernel looks up as many
// ahead of time, in vain if the walk is stopped. More room was not faster.
const direntBytes = 4096

// beforeFirst is how many entries are before descriptor 0 in the directory,
// whose positions are numbers of descriptors (fs/proc/fd.c proc_readfd_common).
const beforeFirst = 2

// Files begins a walk. Without the permission that ptrace asks for, it is an
// error that fs.ErrPermission matches.
func (p *Process) Files() (*Files, error) { return p.FilesOf("") }

// FilesOf begins a walk over the table of a thread that Tables named.
func (p *Process) FilesOf(thread string) (*Files, error) {
	fixed := thread != ""
	dir, err := openDir(p.dir, thread+"fd")
	if err == unix.EACCES && thread == "" {
		// The directory of a thread that is exiting belongs to root.
		if thread, _ = p.liveThread(); thread != "" {
			dir, err = openDir(p.dir, thread+"fd")
		}
	}
	if err != nil {
		return nil, p.failure("open", "fd", err)
	}
	return &Files{
		process: p,
		dir:     dir,
		thread:  thread,
		fixed:   fixed,
		list:    newDirents(dir, make([]byte, direntBytes)),
	}, nil
}

// Close ends the walk.
func (f *Files) Close() error { return unix.Close(f.dir) }

// Counts are how many of the descriptors that Sockets has read are of which kind.
type Counts struct{ Sockets, Epolls, Events, Pipes, Files, Others int }

// Counts returns them.
func (f *Files) Counts() Counts { return f.counts }

// count enters a descriptor by its link.
func (c *Counts) count(link []byte) {
	switch {
	case bytes.HasPrefix(link, []byte("socket:[")):
		c.Sockets++
	case string(link) == "anon_inode:[eventpoll]":
		c.Epolls++
	case string(link) == "anon_inode:[eventfd]":
		c.Events++
	case bytes.HasPrefix(link, []byte("pipe:[")):
		c.Pipes++
	case bytes.HasPrefix(link, []byte("/")):
		c.Files++
	default:
		c.Others++
	}
}

// IsTCP reports whether a descriptor is a TCP socket, connected or not (net/socket.c
// sockfs_xattr_get, 2.6.38).
func (f *Files) IsTCP(fd int) bool {
	var name [16]byte
	path := "/proc/self/fd/" + strconv.Itoa(f.dir) + "/" + strconv.Itoa(fd)
	n, err := unix.Getxattr(path, "system.sockprotoname", name[:])
	return err == nil && bytes.HasPrefix(name[:n], []byte("TCP"))
}

// Sockets reads on, at most that many descriptors as max says (0: all), and calls
// each for those that are sockets, with the inode number by which sock_diag
// knows the socket. When each returns false, reading stops after that
// descriptor. The result is the number of descriptors read now, of whatever
// kind, and whether none is left. A process that ends meanwhile is [ErrGone],
// even if each was called for all that it had.
//
// Nothing is allocated for a descriptor.
func (f *Files) Sockets(max int, each func(fd int, inode uint32) bool) (read int, complete bool,
	err error) {
	for !f.done && (max <= 0 || read < max) {
		name, fd, ok, err := f.descriptor()
		if err != nil {
			return read, false, err
		}
		if !ok {
			break
		}
		inode, kind, err := f.look(name)
		if err != nil {
			return read, false, err
		}
		if kind == closed && f.order != nil {
			continue // a number, and no descriptor
		}
		f.advance(fd)
		read++
		if kind == socket && !each(fd, inode) {
			break
		}
	}
	return read, f.done, nil
}

// advance notes that a descriptor was read.
func (f *Files) advance(fd int) {
	if f.order != nil {
		f.order.free = 0
		return
	}
	f.next = fd + 1
}

// descriptor returns the next entry that is one, or false at the end.
func (f *Files) descriptor() (name []byte, fd int, ok bool, err error) {
	if f.order != nil {
		return f.scattered()
	}
	for {
		name, ok, err := f.list.next()
		if err != nil {
			return nil, 0, false, f.process.failure("readdir", f.thread+"fd", err)
		}
		if !ok {
			if f.done, err = f.atEnd(); f.done || err != nil {
				return nil, 0, false, err
			}
			continue
		}
		if fd, ok := decimal(name); ok {
			return name, fd, true, nil
		}
	}
}

// atEnd tells the end of the table from that of the thread: the directory of a
// thread that has begun to exit is empty. Another one of the process shares the
// table, and the walk goes on there.
func (f *Files) atEnd() (bool, error) {
	if f.fixed {
		return true, nil
	}
	thread, err := f.process.liveThread()
	if err != nil {
		return false, f.process.failure("readdir", "fd", err)
	}
	if thread == "" || thread == f.thread {
		return true, nil
	}
	dir, err := openDir(f.process.dir, thread+"fd")
	if err != nil {
		return false, f.process.failure("open", thread+"fd", err)
	}
	unix.Close(f.dir)
	f.dir, f.thread = dir, thread
	f.list = newDirents(dir, f.list.buf)
	if _, err := unix.Seek(dir, int64(f.next)+beforeFirst, unix.SEEK_SET); err != nil {
		return false, f.process.failure("seek", thread+"fd", err)
	}
	return false, nil
}

// What a descriptor is.
type kind int

const (
	closed kind = iota // or was never open
	socket
	other
)

// look reads the link of one descriptor.
func (f *Files) look(name []byte) (inode uint32, is kind, err error) {
	n, errno := readlinkat(f.dir, name, f.link[:])
	switch errno {
	case 0:
		f.counts.count(f.link[:n])
		if inode, ok := socketInode(f.link[:n]); ok {
			return inode, socket, nil
		}
		return 0, other, nil
	case unix.ENOENT:
		return 0, closed, nil
	}
	return 0, other, f.process.failure("readlink", f.thread+"fd/"+unix.ByteSliceToString(name),
		errno)
}

// readlinkat takes a name that ends in a 0 byte: unix.Readlinkat would copy it
// to the heap.
func readlinkat(dir int, name, to []byte) (int, unix.Errno) {
	for {
		n, _, errno := unix.Syscall6(unix.SYS_READLINKAT, uintptr(dir),
			uintptr(unsafe.Pointer(&name[0])), uintptr(unsafe.Pointer(&to[0])),
			uintptr(len(to)), 0, 0)
		if errno != unix.EINTR {
			return int(n), errno
		}
	}
}

// socketInode reads "socket:[12345]". Inode numbers of sockets have 32 bits
// (net/socket.c sock_alloc, get_next_ino).
func socketInode(link []byte) (uint32, bool) {
	text, ok := bytes.CutPrefix(link, []byte("socket:["))
	if !ok {
		return 0, false
	}
	digits, ok := bytes.CutSuffix(text, []byte("]"))
	if !ok {
		return 0, false
	}
	n, ok := digitsValue(digits, math.MaxUint32)
	return uint32(n), ok
}

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

// OpenCountOf returns how many descriptors the table of a thread has that Tables named.
func (p *Process) OpenCountOf(thread string) (int, error) { return p.openCount(thread) }

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

// direntName is where the name begins in a struct linux_dirent64
// (include/linux/dirent.h): after d_ino, d_off, d_reclen and d_type.
const direntName = 8 + 8 + 2 + 1

// dirents lists an open directory without allocating for its entries.
type dirents struct {
	dir  int
	buf  []byte
	rest []byte // of buf: what the kernel filled and next has not returned
}

func newDirents(dir int, buf []byte) dirents { return dirents{dir: dir, buf: buf} }

// next returns the next name with its final 0 byte, or false at the end. The
// name is valid until the following call. "." and ".." are among them.
func (d *dirents) next() (name []byte, ok bool, err error) {
	if len(d.rest) == 0 {
		n, err := getdents(d.dir, d.buf)
		if n <= 0 || err != nil {
			return nil, false, err
		}
		d.rest = d.buf[:n]
	}
	name, rest, ok := cutDirent(d.rest)
	if !ok {
		d.rest = nil
		return nil, false, unix.EIO
	}
	d.rest = rest
	return name, true, nil
}

func getdents(dir int, buf []byte) (int, error) {
	for {
		n, err := unix.Getdents(dir, buf)
		if err != unix.EINTR {
			return n, err
		}
	}
}

// cutDirent takes the first entry off what getdents64 returned.
func cutDirent(b []byte) (name, rest []byte, ok bool) {
	if len(b) <= direntName {
		return nil, nil, false
	}
	size := int(binary.NativeEndian.Uint16(b[16:]))
	if size <= direntName || size > len(b) {
		return nil, nil, false
	}
	name = b[direntName:size]
	end := bytes.IndexByte(name, 0)
	if end <= 0 {
		return nil, nil, false
	}
	return name[:end+1], b[size:], true
}

// decimal reads a name, with its final 0 byte, that is a number of the size of
// a pid or a descriptor.
func decimal(name []byte) (int, bool) {
	digits, ok := bytes.CutSuffix(name, []byte{0})
	if !ok {
		return 0, false
	}
	n, ok := digitsValue(digits, 1<<31-1)
	return int(n), ok
}

// digitsValue is the value of decimal digits, without allocating.
func digitsValue(digits []byte, most uint64) (uint64, bool) {
	var n uint64
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, false
		}
		if n = n*10 + uint64(c-'0'); n > most {
			return 0, false
		}
	}
	return n, len(digits) > 0
}
