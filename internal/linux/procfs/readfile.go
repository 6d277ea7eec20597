package procfs

import (
	"golang.org/x/sys/unix"
)

// fileMost bounds what is read of one file: a mountinfo of 10,000 mounts has
// some 2 MB.
const fileMost = 16 << 20

func openat(dir int, name string, flags int) (int, error) {
	for {
		fd, err := unix.Openat(dir, name, flags|unix.O_CLOEXEC, 0)
		if err != unix.EINTR {
			return fd, err
		}
	}
}

func openDir(dir int, name string) (int, error) {
	return openat(dir, name, unix.O_RDONLY|unix.O_DIRECTORY)
}

func read(fd int, b []byte) (int, error) {
	for {
		n, err := unix.Read(fd, b)
		if err != unix.EINTR {
			return max(n, 0), err
		}
	}
}

// readFile returns a file to its end. The errors here and below are bare
// errnos; the caller knows the path. The os package is not used: it registers
// every file with the poller, and its first read is of 512 bytes.
func readFile(dir int, name string) ([]byte, error) {
	fd, err := openat(dir, name, unix.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	b := make([]byte, 0, 4096)
	for len(b) < fileMost {
		if len(b) == cap(b) {
			b = append(b, make([]byte, cap(b))...)[:len(b)]
		}
		n, err := read(fd, b[len(b):cap(b)])
		if n == 0 || err != nil {
			return b, err
		}
		b = b[:len(b)+n]
	}
	return nil, unix.EFBIG
}

// readSysctl returns a sysctl with a single read. A sysctl that is a list of
// ports answers the second read of a file with its end, so what did not fit
// into the first is lost (kernel/sysctl.c proc_do_large_bitmap): a read that
// was filled is made again with room for the longest list, 32768 ports of at
// most 6 bytes. The kernel allocates as much as is asked for; hence the small
// first try.
func readSysctl(path string) ([]byte, error) {
	for _, size := range []int{4096, 256 << 10} {
		b, err := readOnce(path, size)
		if err != nil {
			return nil, err
		}
		if len(b) < size {
			return b, nil
		}
	}
	return nil, unix.EFBIG
}

func readOnce(path string, size int) ([]byte, error) {
	fd, err := openat(unix.AT_FDCWD, path, unix.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	b := make([]byte, size)
	n, err := read(fd, b)
	return b[:n], err
}
