//go:build linux

package netns

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// Handle is a network namespace held by a descriptor. A path is looked up once, when the handle is
// made: whatever the path leads to later, the handle stays with the namespace that it was opened
// on, and keeps it from ending. Its methods may be called concurrently, but not with Close.
type Handle struct {
	f    *os.File
	id   ID
	name Path // how it was found, for messages
	own  bool // it was opened as that of the calling thread
}

// Hold opens the namespace that a path leads to now; "" is that of the calling thread.
func Hold(p Path) (*Handle, error) {
	name := p
	if p == "" {
		p = ownPath
	}
	f, id, err := open("hold", p)
	if err != nil {
		return nil, err
	}
	return &Handle{f, id, name, name == ""}, nil
}

// Inherit makes a handle of a descriptor that the parent process has handed over. name is for
// messages.
func Inherit(f *os.File, name Path) (*Handle, error) {
	id, err := identify(f)
	if err != nil {
		return nil, &Error{Op: "inherit", Subject: string(name), Reason: NotNamespace,
			Err: err}
	}
	return &Handle{f: f, id: id, name: name}, nil
}

// ID is the identity by device and inode; another namespace may get it once this one has ended.
func (h *Handle) ID() ID { return h.id }

// Name is the path by which the namespace was found, "" for that of the thread.
func (h *Handle) Name() Path { return h.name }

// Path leads to the namespace while the handle is open, in this process only.
func (h *Handle) Path() Path { return Path(fmt.Sprintf("/proc/self/fd/%d", h.f.Fd())) }

// File is the descriptor, to be handed to a child process.
func (h *Handle) File() *os.File { return h.f }

// Close lets the namespace go.
func (h *Handle) Close() error { return h.f.Close() }

// Own says whether it was held as the namespace of the calling thread.
func (h *Handle) Own() bool { return h.own }

// Do runs fn inside the namespace, as the function Do does; in the own one on the calling thread.
func (h *Handle) Do(fn func() error) error {
	if h.own {
		return fn()
	}
	return doIn(h.name, int(h.f.Fd()), h.id, fn)
}

// Cookie numbers the namespace of the calling thread. No other namespace of this boot has had it or
// will have it, other than an inode number. 0: the kernel does not tell (before Linux 5.14;
// net/core/sock.c sk_getsockopt, SO_NETNS_COOKIE).
func Cookie() (uint64, error) {
	s, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, fmt.Errorf("socket: %w", err)
	}
	defer unix.Close(s)
	cookie, err := unix.GetsockoptUint64(s, unix.SOL_SOCKET, unix.SO_NETNS_COOKIE)
	if errors.Is(err, unix.ENOPROTOOPT) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("getsockopt SO_NETNS_COOKIE: %w", err)
	}
	return cookie, nil
}

// What open_by_handle_at(2) takes for a namespace (include/uapi/linux/nsfs.h struct
// nsfs_file_handle, FILEID_NSFS; include/uapi/linux/fcntl.h FD_NSFS_ROOT), Linux 6.18.
const (
	nsfsRoot   = -10003
	nsfsHandle = 0xf1
)

// Ended says whether the namespace with this cookie and this inode number has ended, where
// the kernel can tell: since Linux 6.18, and for a caller with CAP_SYS_ADMIN over it. Its
// cookie is also the number by which namespaces are found there, which is tried out on the
// own namespace first.
func Ended(cookie, inode uint64) (ended, known bool) {
	own, err1 := Self()
	number, err2 := Cookie()
	if err1 != nil || err2 != nil || number == 0 || cookie == 0 ||
		byHandle(number, own.Inode) != nil {
		return false, false
	}
	switch err := byHandle(cookie, inode); {
	case err == nil:
		return false, true
	case errors.Is(err, unix.ESTALE):
		return true, true
	}
	return false, false
}

// byHandle opens a namespace by its numbers.
func byHandle(number, inode uint64) error {
	b := binary.NativeEndian.AppendUint64(nil, number)
	b = binary.NativeEndian.AppendUint32(b, unix.CLONE_NEWNET)
	b = binary.NativeEndian.AppendUint32(b, uint32(inode))
	fd, err := unix.OpenByHandleAt(
		nsfsRoot,
		unix.NewFileHandle(nsfsHandle, b),
		unix.O_RDONLY|unix.O_CLOEXEC,
	)
	if err != nil {
		return err
	}
	return unix.Close(fd)
}

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
