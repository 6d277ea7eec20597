package procfs

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Root is the directory where a proc file system is mounted, or a copy of one.
// The empty Root is /proc. Its methods may be called concurrently.
type Root string

func (r Root) path(name string) string {
	if r == "" {
		r = "/proc"
	}
	return filepath.Join(string(r), name)
}

// Read returns the bytes of a file such as "meminfo" or "net/netstat". The
// latter is of the network namespace of this process; "thread-self/net/netstat"
// is of the calling thread's, and [Process.Read] gives another process's. The
// error keeps the errno.
func (r Root) Read(name string) ([]byte, error) {
	path := r.path(name)
	read := func() ([]byte, error) { return readFile(unix.AT_FDCWD, path) }
	if strings.HasPrefix(filepath.Clean(name), "sys/") {
		read = func() ([]byte, error) { return readSysctl(path) }
	}
	b, err := read()
	if err != nil {
		return nil, &fs.PathError{Op: "read", Path: path, Err: err}
	}
	return b, nil
}

// PIDs returns the processes that this user can see, in ascending order. With
// hidepid=2 those are only the user's own.
func (r Root) PIDs() ([]int, error) {
	path := r.path("")
	dir, err := openDir(unix.AT_FDCWD, path)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	defer unix.Close(dir)
	var pids []int
	list := newDirents(dir, make([]byte, 8192))
	for {
		name, ok, err := list.next()
		if err != nil {
			return nil, &fs.PathError{Op: "readdir", Path: path, Err: err}
		}
		if !ok {
			break
		}
		if pid, ok := decimal(name); ok && pid > 0 {
			pids = append(pids, pid)
		}
	}
	slices.Sort(pids)
	return pids, nil
}

// Open holds a process of this root by its directory. A process that does not
// exist, or that this mount hides from this user (hidepid=2), is [ErrGone].
// Close the result.
func (r Root) Open(pid int) (*Process, error) {
	path := r.path(strconv.Itoa(pid))
	dir, err := openat(unix.AT_FDCWD, path, unix.O_PATH|unix.O_DIRECTORY)
	if err == unix.ENOENT || err == unix.ESRCH {
		return nil, &fs.PathError{Op: "open", Path: path, Err: ErrGone}
	}
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return &Process{PID: pid, root: r, path: path, dir: dir}, nil
}

// RootDir opens the root directory of the process, which shows its mounts. Without the
// permission that ptrace asks for, it is an error that fs.ErrPermission matches.
func (p *Process) RootDir() (*os.File, error) {
	dir, err := openat(p.dir, "root", unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		return nil, p.failure("open", "root", err)
	}
	return os.NewFile(uintptr(dir), p.path+"/root"), nil
}
