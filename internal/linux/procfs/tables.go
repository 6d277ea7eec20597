package procfs

import (
	"strconv"

	"golang.org/x/sys/unix"
)

// How many threads of a process are looked at, and how many tables are told apart.
const (
	mostThreads = 4096
	mostTables  = 64
)

// Tables returns the threads whose descriptor tables are their own (clone without CLONE_FILES,
// unshare(2)): one of each further table, beside that of the process, as "task/12/". They stand in
// the thread's own directory and not in that of the process. known is false where that is
// not known of every thread.
func (p *Process) Tables() (threads []string, known bool) {
	var st unix.Stat_t
	if unix.Fstatat(p.dir, "task", &st, 0) != nil || st.Nlink <= 3 {
		return nil, true // a single thread (fs/proc/base.c proc_task_getattr)
	}
	dir, err := openDir(p.dir, "task")
	if err != nil {
		return nil, false
	}
	defer unix.Close(dir)
	t := tables{process: p, all: []table{p.table("", p.PID)}}
	list := newDirents(dir, make([]byte, 4096))
	for n := 0; ; n++ {
		name, ok, err := list.next()
		if !ok || err != nil || n > mostThreads || len(t.all) > mostTables {
			known = !ok && err == nil
			break
		}
		if tid, ok := decimal(name); ok && tid != p.PID {
			t.add(tid)
		}
	}
	for _, x := range t.all[1:] {
		threads = append(threads, x.thread)
	}
	return threads, known && !t.unsure
}

// table is a descriptor table by one of its threads.
type table struct {
	tid    int
	thread string
	size   int64 // open descriptors, where the kernel tells (6.2)
}

func (p *Process) table(thread string, tid int) table {
	var st unix.Stat_t
	if unix.Fstatat(p.dir, thread+"fd", &st, 0) != nil {
		st.Size = -1
	}
	return table{tid, thread, st.Size}
}

type tables struct {
	process *Process
	all     []table
	unsure  bool // some could not be compared
}

// add notes the table of a thread unless it is known.
func (t *tables) add(tid int) {
	x := table{tid: tid, thread: "task/" + strconv.Itoa(tid) + "/"}
	sized := false
	for _, have := range t.all {
		same, known := t.same(have.tid, tid)
		if !known {
			// What the kernel does not compare (CONFIG_KCMP) differs if the counts do.
			if !sized {
				x, sized = t.process.table(x.thread, tid), true
			}
			same = x.size == have.size || x.size < 0
			t.unsure = t.unsure || x.size == 0
		}
		if same {
			return
		}
	}
	t.all = append(t.all, x)
}

// kcmpFiles is KCMP_FILES (include/uapi/linux/kcmp.h).
const kcmpFiles = 2

// same asks whether two threads share one table. It takes the right to trace them, and numbers
// of the own pid namespace.
func (t *tables) same(a, b int) (same, known bool) {
	if t.process.root != "" {
		return false, false
	}
	order, _, errno := unix.Syscall6(unix.SYS_KCMP, uintptr(a), uintptr(b), kcmpFiles, 0, 0, 0)
	if errno == unix.ESRCH {
		return true, true // it has ended
	}
	return order == 0, errno == 0
}
