//go:build linux

package load

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/maxconn/maxconn/internal/linux/role"
	"github.com/maxconn/maxconn/internal/load/result"
)

// Worker processes do what threads with descriptor tables of their own do, where the kernel
// lets nobody have those (a seccomp filter may forbid unshare), or where the user wants it.
// Each is this program again, with a share of the connections that fits one table. It is
// told its share on its standard input, and says on its standard output how it goes; it
// ends when the input does. One that is killed costs its connections and nothing else.

// order is the request to a worker process.
type order struct {
	Role  string
	Spec  Spec
	Share uint64 // which of Of this one is: of the space of tuples it takes every Of-th chunk
	Of    uint64
}

// word is what it says, one of them at a time or a sample with Opened.
type word struct {
	Sample *result.Sample `json:"sample,omitempty"`
	Opened bool           `json:"opened,omitempty"`
	Result *workerResult  `json:"result,omitempty"`
}

// workerResult is what it found.
type workerResult struct {
	Report   *result.Report
	Times    *hdrhistogram.Snapshot
	Resident int64
	Grown    int64   // of it, since before the connections
	CPU      float64 // seconds
	Began    int64   // ns on the clock that all processes share
}

// remoteWorkers are the worker processes of a run.
type remoteWorkers struct {
	mu      sync.Mutex
	started int
	lost    int
	first   int64 // when the first began, ns
	last    int64 // when the last handshake of any ended, ns
	bytes   int64 // resident, all together
	grown   int64
	cpu     float64 // seconds
}

// workerEvery is how often a worker process says how it goes.
const workerEvery = 100 * time.Millisecond

// workerRole is the role of a worker process (package role): whatever the order says is done, also
// what the verbs of a load would refuse to a user.
const workerRole = "load-worker"

// Work is a worker process: it does what the order on in says, until that is done or in
// ends. Only a program that Spec.Program names calls it, and only as a child of a load.
func Work(ctx context.Context, in io.Reader, out io.Writer) error {
	taken, err := role.Take(workerRole)
	if err == nil && !taken {
		err = errors.New("only a load starts its workers")
	}
	if err != nil {
		return fmt.Errorf("load: worker: %w", err)
	}
	d := json.NewDecoder(in)
	var o order
	if err := d.Decode(&o); err != nil {
		return fmt.Errorf("load: read the order of a worker: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		_, _ = io.Copy(io.Discard, in) // however it ends, it ends
		cancel()
	}()
	var mu sync.Mutex
	e := json.NewEncoder(out)
	say := func(w word) {
		mu.Lock()
		defer mu.Unlock()
		if e.Encode(w) != nil {
			cancel() // nobody listens
		}
	}
	s := o.Spec
	s.OneTable, s.Processes, s.Threads, s.Every, s.share, s.of = true, false, 1, workerEvery,
		o.Share, o.Of
	if s.Mode != result.Churn {
		s.Duration = forEver
	}
	s.Progress = func(one result.Sample) { say(word{Sample: &one}) }
	s.onOpen = func(now result.Sample) { say(word{Sample: &now, Opened: true}) }
	work := (*worker).client
	if o.Role == "pair" {
		work = (*worker).pair
	}
	r, err := open(ctx, o.Role, s, work)
	if err != nil {
		return err
	}
	found := workerResult{
		Report:   &r.Report,
		Resident: r.Bytes.UserTotal,
		Grown:    r.userGrown,
		CPU:      r.cpuSeconds,
		Began:    r.began,
	}
	if r.times.times != nil {
		found.Times = r.times.times.Export()
	}
	say(word{Result: &found})
	return nil
}

// forEver is until the input ends.
const forEver = 1000 * time.Hour

// shares is how many worker processes are needed, and how many connections one takes.
func (r *run) shares() (n, each int64) {
	capacity := fileLimit() - spareFiles
	if r.role == "pair" {
		capacity /= 2
	}
	if r.spec.Connections == 0 {
		return int64(r.spec.Threads), 0
	}
	n = max((r.spec.Connections+capacity-1)/capacity,
		min(int64(r.spec.Threads), r.spec.Connections))
	return n, (r.spec.Connections + n - 1) / n
}

// startRemote starts all worker processes.
func (r *run) startRemote() {
	n, each := r.shares()
	left := r.spec.Connections
	for i := range n {
		o := order{Role: r.role, Spec: r.spec, Share: uint64(i), Of: uint64(n)}
		o.Spec.Connections = min(each, left)
		o.Spec.Rate /= float64(n)
		o.Spec.MessageRate /= float64(n)
		left -= o.Spec.Connections
		r.opening.Add(1)
		r.workers.Add(1)
		go r.remote.keep(r, o)
	}
	r.remote.started = int(n)
}

// keep starts one worker process and stays with it until it ends, on one thread: the kernel
// kills the process when the thread that started it ends (prctl(2), PR_SET_PDEATHSIG).
func (m *remoteWorkers) keep(r *run, o order) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer r.workers.Done()
	opened := sync.OnceFunc(r.opening.Done)
	defer opened()
	t := r.count()
	found, err := m.attend(r, o, t, opened)
	if err != nil || found == nil {
		r.failNamed(result.AtWorker, lostName(err), max(t.open.Load(), 1))
		m.mu.Lock()
		m.lost++
		m.mu.Unlock()
		t.open.Store(0)
		return
	}
	m.take(r, found, t)
}

// lostName is how the end of a process is counted.
func lostName(err error) string {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		if w, ok := exit.Sys().(syscall.WaitStatus); ok && w.Signaled() {
			return "KILLED"
		}
		return "EXITED"
	}
	var e syscall.Errno
	if errors.As(err, &e) {
		return errnoName(e)
	}
	return "EXITED"
}

// attend runs the process and listens to it.
func (m *remoteWorkers) attend(r *run, o order, t *tally, opened func()) (*workerResult, error) {
	cmd := exec.Command(r.spec.Program[0], r.spec.Program[1:]...)
	cmd.Stderr = os.Stderr
	// Ctrl-C is for us, and we end it
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	granted, err := role.Grant(cmd, workerRole)
	if err != nil {
		return nil, err
	}
	defer granted()
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	if err := json.NewEncoder(in).Encode(o); err != nil {
		in.Close()
		return nil, errors.Join(err, cmd.Wait())
	}
	go func() {
		<-r.over
		in.Close()
	}()
	var found *workerResult
	d := json.NewDecoder(out)
	for {
		var w word
		if d.Decode(&w) != nil {
			break
		}
		if w.Sample != nil {
			t.follow(w.Sample)
		}
		if w.Opened {
			opened()
		}
		if w.Result != nil {
			found = w.Result
		}
	}
	return found, cmd.Wait()
}

// follow makes a tally say what a worker process said.
func (t *tally) follow(s *result.Sample) {
	t.attempted.Store(s.Attempted)
	t.established.Store(s.Established)
	t.open.Store(s.Open)
	t.messages.Store(s.Messages)
}

// take adds the result of a process to the run.
func (m *remoteWorkers) take(r *run, found *workerResult, t *tally) {
	report := found.Report
	t.attempted.Store(report.Attempted)
	t.established.Store(report.Established)
	t.answered.Store(report.Answered)
	t.messages.Store(report.Messages)
	t.skipped.Store(report.PortsSkipped)
	t.open.Store(0)
	later := float64(found.Began-r.began) / 1e9 // a process takes its time to start
	for _, f := range report.Failures {
		r.failures.add(f.Phase, f.Errno, f.Count, f.First+later, func() int64 {
			return f.Open
		})
	}
	for _, s := range report.SYNSteps {
		r.steps.add(s)
	}
	if found.Times != nil {
		r.finished(&latency{times: hdrhistogram.Import(found.Times)}, &latency{})
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.first == 0 || found.Began < m.first {
		m.first = found.Began
	}
	m.last = max(m.last, found.Began+int64(report.Seconds*1e9))
	m.bytes += found.Resident
	m.grown += found.Grown
	m.cpu += found.CPU
}

// addTo puts what only worker processes have into the report.
func (m *remoteWorkers) addTo(r *result.Report) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r.Processes, r.WorkersLost = m.started, m.lost
	if m.started == 0 {
		return
	}
	r.Tables = m.started
	// from the first process's begin: none can open a connection before it runs
	if m.last > m.first {
		r.Seconds = float64(m.last-m.first) / 1e9
		r.Rate = float64(r.Established) / r.Seconds
	}
	r.Bytes.UserTotal += m.bytes
	if n := r.PeakOpen; n >= fewest {
		r.Bytes.User = grown(m.grown, n)
	}
	if r.Established > 0 && r.CPU != nil {
		cpu := *r.CPU + m.cpu*1e6/float64(r.Established)
		r.CPU = &cpu
	}
}
