//go:build linux

package netns

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// ID is the identity of a network namespace: two files refer to the same
// namespace exactly when device and inode agree (namespaces(7), "The
// /proc/pid/ns directory"). The inode alone is what the kernel prints, but it is
// unique only on one nsfs, so both are kept. IDs are reused after a namespace is
// gone.
type ID struct {
	Dev   uint64
	Inode uint64
}

// String spells the ID as readlink(2) on /proc/PID/ns/net does: net:[4026531840].
func (id ID) String() string { return fmt.Sprintf("net:[%d]", id.Inode) }

// Path names a file that refers to a network namespace, such as
// /run/netns/blue or /proc/123/ns/net. It can go stale: the process may end.
type Path string

// ownPath is the namespace of the calling thread, which need not be the one of
// the process (/proc/self is the main thread). Since Linux 3.17.
const ownPath Path = "/proc/thread-self/ns/net"

// Self is the namespace of the calling thread.
func Self() (ID, error) { return Identify(ownPath) }

// Identify reads which namespace a file refers to. It needs to be able to open
// the file: for /proc/PID/ns/net that takes the same user or CAP_SYS_PTRACE.
func Identify(p Path) (ID, error) {
	f, id, err := open("identify", p)
	if err != nil {
		return ID{}, err
	}
	f.Close()
	return id, nil
}

// open opens p and makes sure that it is a network namespace and nothing else.
func open(op string, p Path) (*os.File, ID, error) {
	// O_NONBLOCK: the word may name a FIFO, and opening that would wait forever.
	f, err := os.OpenFile(string(p), os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, ID{}, openError(op, p, err)
	}
	id, err := identify(f)
	if err != nil {
		f.Close()
		return nil, ID{}, &Error{Op: op, Subject: string(p), Reason: NotNamespace, Err: err}
	}
	return f, id, nil
}

func identify(f *os.File) (ID, error) {
	fd := int(f.Fd())
	var fsys unix.Statfs_t
	if err := unix.Fstatfs(fd, &fsys); err != nil {
		return ID{}, fmt.Errorf("fstatfs: %w", err)
	}
	if fsys.Type != unix.NSFS_MAGIC {
		return ID{}, errNotNsfs
	}
	if err := wantNet(fd); err != nil {
		return ID{}, err
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return ID{}, fmt.Errorf("fstat: %w", err)
	}
	return ID{Dev: uint64(st.Dev), Inode: st.Ino}, nil
}

// nsGetNSType is NS_GET_NSTYPE, _IO(0xb7, 3), Linux 4.11 (fs/nsfs.c ns_ioctl).
// Older kernels, and the few architectures that number _IO differently, answer
// ENOTTY; there the kind stays unchecked and setns(2) refuses a wrong one.
const nsGetNSType = 0xb703

func wantNet(fd int) error {
	kind, err := unix.IoctlRetInt(fd, nsGetNSType)
	switch {
	case errors.Is(err, unix.ENOTTY):
		return nil
	case err != nil:
		return fmt.Errorf("ioctl NS_GET_NSTYPE: %w", err)
	case kind != unix.CLONE_NEWNET:
		return errOtherKind
	}
	return nil
}

var (
	errNotNsfs   = errors.New("it is an ordinary file, no namespace is mounted on it")
	errOtherKind = errors.New("it is a namespace of another kind")
)

func openError(op string, p Path, err error) error {
	reason := Failed
	pid, isProc := processOf(p)
	switch {
	case isProc && gone(pid):
		reason = Gone
	case errors.Is(err, fs.ErrPermission):
		reason = Permission
	case isProc && errors.Is(err, fs.ErrNotExist):
		reason = Gone
	case errors.Is(err, fs.ErrNotExist):
		reason = NoSuchName
	}
	return &Error{Op: op, Subject: string(p), Reason: reason, Err: err}
}
