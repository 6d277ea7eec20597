package procfs

import (
	"math"
	"strconv"

	"golang.org/x/sys/unix"
)

// sparse is how many slots of a table there may be for each open descriptor
// before looking them up one by one costs more than it tells: a free slot costs
// half as much as an open descriptor.
const sparse = 4

// Scatter makes the rest of the walk go over the table in an order of which any
// part is spread evenly over all of it: what a part shows is a fair sample,
// while the first descriptors of a process may all be of one kind. left is how
// many descriptors have not been read yet. Where the size of the table cannot be
// told, or most of it is empty, the order stays and the result is false.
//
// Descriptors that the process opens later may be skipped.
func (f *Files) Scatter(left int) bool {
	b, err := readFile(f.process.dir, f.thread+"status")
	if err != nil {
		return false
	}
	status, err := ParseStatus(b)
	if err != nil {
		return false
	}
	if f.done || f.order != nil || left <= 0 || status.FDSize <= f.next {
		return false
	}
	size := f.span(left, status.FDSize-f.next)
	if size/sparse > left {
		return false
	}
	f.order = newScatter(f.next, size)
	return true
}

// span is how many numbers from f.next on may be descriptors, of which left are:
// few more, most often, than there are, while the table has room for twice as
// many. It is at most slots.
func (f *Files) span(left, slots int) int {
	at, err := unix.Seek(f.dir, 0, unix.SEEK_CUR)
	if err != nil {
		return slots
	}
	defer unix.Seek(f.dir, at, unix.SEEK_SET)
	for n := left + left/16 + 32; n < slots; n *= 2 {
		if !f.anyFrom(f.next + n) {
			return n
		}
	}
	return slots
}

// anyFrom reports whether there is a descriptor with this number or a higher
// one, as far as it is known.
func (f *Files) anyFrom(fd int) bool {
	var one [32]byte // room for a single entry
	if _, err := unix.Seek(f.dir, int64(fd)+beforeFirst, unix.SEEK_SET); err != nil {
		return true
	}
	n, err := getdents(f.dir, one[:])
	return n > 0 || err != nil
}

// scatter goes over the numbers from first on, size of them: the multiples of
// size divided by the golden ratio, modulo size. No other step spreads the
// points of every part as evenly (Knuth, "The art of computer programming" 3,
// 6.4 theorem S), and neighbours in the order differ in parity, as the two ends
// of each connection of a proxy do.
type scatter struct {
	first, size, step int
	tried             int
	free              int // numbers in a row that were no descriptor
	name              []byte
}

// newScatter needs a size above 0.
func newScatter(first, size int) *scatter {
	step := max(1, int(math.Round(float64(size)/math.Phi)))
	for greatestDivisor(step, size) != 1 {
		step++
	}
	return &scatter{first: first, size: size, step: step, name: make([]byte, 0, 16)}
}

func greatestDivisor(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// next returns a number and its name with a final 0 byte, valid until the
// following call, or false at the end.
func (s *scatter) next() (name []byte, fd int, ok bool) {
	if s.tried >= s.size {
		return nil, 0, false
	}
	fd = s.first + int(uint64(s.tried)*uint64(s.step)%uint64(s.size))
	s.tried++
	s.name = append(strconv.AppendInt(s.name[:0], int64(fd), 10), 0)
	return s.name, fd, true
}

// freeInARow is after how many numbers that were no descriptor to ask whether
// the thread whose table it is still lives: without it, none is.
const freeInARow = 512

// scattered is the next number that may be a descriptor, or false at the end.
func (f *Files) scattered() (name []byte, fd int, ok bool, err error) {
	name, fd, ok = f.order.next()
	if f.order.free++; ok && f.order.free%freeInARow != 0 {
		return name, fd, true, nil
	}
	thread, err := f.thread, error(nil)
	if !f.fixed {
		thread, err = f.process.liveThread()
	}
	if err == nil && thread != f.thread {
		err = unix.ENOENT // what that one showed cannot be told from what is free
	}
	if err != nil {
		return nil, 0, false, f.process.failure("readlink", f.thread+"fd", err)
	}
	f.done = !ok
	return name, fd, ok, nil
}
