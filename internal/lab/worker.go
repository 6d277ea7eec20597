//go:build linux

package lab

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"sync"
	"syscall"

	"github.com/maxconn/maxconn/internal/linux/role"
	"github.com/maxconn/maxconn/internal/linux/tune"
)

// worker is the state of a worker process. Its verbs run one at a time.
type worker struct {
	verbs  map[string]handler
	groups map[Group][]int // open descriptors, the oldest first
	last   Group
	// descriptors that came with the request; the code that uses them closes them
	passed   []int
	children sync.WaitGroup
	// first workers of labs beside this one, by pid; closed when one has ended
	beside map[int]chan struct{}
}

// handler does one verb: arguments and result are JSON.
type handler func(w *worker, args json.RawMessage) (any, error)

// verb makes a handler of a function with typed arguments.
func verb[A, R any](do func(w *worker, args A) (R, error)) handler {
	return func(w *worker, raw json.RawMessage) (any, error) {
		var args A
		if err := json.Unmarshal(raw, &args); err != nil {
			return nil, fmt.Errorf("arguments: %w", err)
		}
		return do(w, args)
	}
}

func verbs() map[string]handler {
	return map[string]handler{
		"name":       verb(nameSelf),
		"spawn":      verb(spawnWorker),
		"reap":       verb(reapWorkers),
		"run":        verb(runCommand),
		"observe":    verb(observeSelf),
		"sysctl":     does(writeSysctl),
		"value":      verb(readSysctl),
		"up":         does(tune.LinkUp),
		"address":    does(addAddress),
		"listen":     verb(listen),
		"listeners":  verb(listenMany),
		"accept":     verb(accept),
		"connect":    verb(connect),
		"bind":       verb(bind),
		"close":      verb(closeSockets),
		"shutdown":   verb(shutdown),
		"states":     verb(states),
		"queue":      verb(queue),
		"limit":      verb(limitFiles),
		"fill":       verb(fillFiles),
		"syn":        verb(sendSYN),
		"headers6":   verb(sendHeaders6),
		"serve":      verb(serveForever),
		"churn":      verb(churn),
		"reopen":     verb(reopen),
		"cost":       verb(connectCost),
		"timers":     verb(readTimers),
		"fresh":      verb(readFresh),
		"track":      does(trackConnections),
		"datagram":   verb(sendDatagram),
		"snat":       does(tune.RewriteSources),
		"allow":      does(tune.AllowConnections),
		"stream":     verb(streamMessages),
		"beside":     verb(spawnBeside),
		"gone":       verb(awaitBeside),
		"veth":       does(tune.AddVeth),
		"mtu":        does(setMTU),
		"qlen":       does(setTxQueueLen),
		"qdisc":      does(setQdisc),
		"route":      does(addRoute),
		"relisten":   verb(relisten),
		"numbers":    verb(numbers),
		"borrow":     verb(borrow),
		"prlimit":    does(limitOther),
		"watch":      verb(watch),
		"watchgroup": verb(watchGroup),
		"datagrams":  verb(sendDatagrams),
		"memory":     verb(memory),
		"tasks":      verb(fillTasks),
		"become":     verb(becomeUser),
		"cgroup":     does(makeCgroup),
		"join":       does(joinCgroup),
		"send":       verb(send),
		"rmcgroup":   does(tune.RemoveCgroup),
	}
}

// does makes a handler of a function that gives nothing back and asks nothing of the worker.
func does[A any](do func(args A) error) handler {
	return verb(func(_ *worker, args A) (nothing, error) { return nothing{}, do(args) })
}

// nothing is the argument or result of a verb that has none.
type nothing struct{}

// serve answers requests until the parent closes its end.
func (w *worker) serve(fd int) error {
	in := &lines{read: func(b []byte) (int, error) { return w.receive(fd, b) }}
	for {
		line, err := in.next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read request: %w", err)
		}
		answer, err := encode(w.answer(line))
		if err != nil {
			return fmt.Errorf("encode response: %w", err)
		}
		if err := writeAll(fd, answer); err != nil {
			return fmt.Errorf("write response: %w", err)
		}
	}
}

func (w *worker) answer(line []byte) response {
	var req request
	if err := json.Unmarshal(line, &req); err != nil {
		return response{Fault: faultOf(fmt.Errorf("request: %w", err))}
	}
	defer w.dropPassed()
	do, ok := w.verbs[req.Verb]
	if !ok {
		return response{ID: req.ID, Fault: &fault{Text: "no such verb"}}
	}
	result, err := do(w, req.Args)
	if err != nil {
		return response{ID: req.ID, Fault: faultOf(err)}
	}
	raw, err := json.Marshal(result)
	if err != nil {
		return response{ID: req.ID, Fault: faultOf(err)}
	}
	return response{ID: req.ID, Result: raw}
}

// receive reads bytes and keeps the descriptors that come with them. The parent
// waits for each answer, so they belong to the request being read. It blocks in
// the system call: a worker has nothing else to do.
func (w *worker) receive(fd int, b []byte) (n int, err error) {
	oob := make([]byte, syscall.CmsgSpace(4*maxPassed))
	var oobn int
	err = eintr(func() (err error) {
		n, oobn, _, _, err = syscall.Recvmsg(fd, b, oob, syscall.MSG_CMSG_CLOEXEC)
		return err
	})
	if err != nil {
		return 0, err
	}
	fds, err := passedFDs(oob[:oobn])
	w.passed = append(w.passed, fds...)
	return n, err
}

// maxPassed is the number of descriptors in one message: a command's three.
const maxPassed = 3

func passedFDs(oob []byte) ([]int, error) {
	messages, err := syscall.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, err
	}
	var fds []int
	for _, m := range messages {
		got, err := syscall.ParseUnixRights(&m)
		if err != nil {
			return fds, err
		}
		fds = append(fds, got...)
	}
	return fds, nil
}

func (w *worker) dropPassed() {
	for _, fd := range w.passed {
		syscall.Close(fd)
	}
	w.passed = nil
}

func writeAll(fd int, b []byte) error {
	for len(b) > 0 {
		var n int
		err := eintr(func() (err error) {
			// MSG_NOSIGNAL: a parent that went away is an end, not a SIGPIPE.
			n, err = syscall.SendmsgN(fd, b, nil, nil, syscall.MSG_NOSIGNAL)
			return err
		})
		if err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// keep makes a group of descriptors.
func (w *worker) keep(fds []int) Group {
	w.last++
	w.groups[w.last] = fds
	return w.last
}

func (w *worker) group(g Group) ([]int, error) {
	fds, ok := w.groups[g]
	if !ok {
		return nil, fmt.Errorf("no group %d", g)
	}
	return fds, nil
}

// listener is the descriptor of a group made by listen.
func (w *worker) listener(g Group) (int, error) {
	fds, err := w.group(g)
	if err != nil {
		return 0, err
	}
	if len(fds) != 1 {
		return 0, fmt.Errorf("group %d holds %d descriptors, a listener is one", g,
			len(fds))
	}
	return fds[0], nil
}

// workerRole is the role of a worker (package role). Nobody but a parent that is this program can
// give it.
const workerRole = "lab-worker"

// controlFD is where a worker finds its end of the control socket.
const controlFD = 3

// Main turns the process into a worker when it was started as one, and then does
// not return. It must be the first thing that main or TestMain calls in every
// program that starts labs; in all other processes it does nothing.
func Main() {
	taken, err := role.Take(workerRole)
	if err == nil && !taken {
		return
	}
	if err == nil {
		err = work()
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "lab worker: %v\n", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func work() error {
	// Children get the parent-death signal when this thread ends, not the process
	// (prctl(2)), so it must not be a thread that comes and goes.
	runtime.LockOSThread()
	if _, err := syscall.Getpeername(controlFD); err != nil {
		return fmt.Errorf("descriptor %d is no control socket: %w", controlFD, err)
	}
	syscall.CloseOnExec(controlFD)
	if err := closeInherited(); err != nil {
		return err
	}
	if err := wakePoller(); err != nil {
		return err
	}
	w := &worker{groups: map[Group][]int{}, verbs: verbs()}
	return w.serve(controlFD)
}

// wakePoller makes the Go runtime open its own descriptors now. Later, with all
// descriptors used up by an experiment, it would have to abort.
func wakePoller() error {
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	r.Close()
	return w.Close()
}

// closeInherited closes what the parent itself had inherited from a shell or a
// test runner, so that a limit of 64 descriptors means the same everywhere. The
// descriptors of this process, the Go runtime's too, are all close-on-exec.
func closeInherited() error {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return err
	}
	for _, e := range entries {
		fd, err := strconv.Atoi(e.Name())
		if err == nil && fd > controlFD && inherited(fd) {
			syscall.Close(fd)
		}
	}
	return nil
}

func inherited(fd int) bool {
	flags, _, errno := syscall.Syscall(syscall.SYS_FCNTL, uintptr(fd), syscall.F_GETFD, 0)
	return errno == 0 && flags&syscall.FD_CLOEXEC == 0
}
