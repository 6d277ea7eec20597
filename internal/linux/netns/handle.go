//go:build linux

package netns

import (
	"encoding/binary"
	"errors"
	"fmt"
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
