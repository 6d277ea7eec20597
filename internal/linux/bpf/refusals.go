//go:build linux

package bpf

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// Kind is what was refused, or may come of a refusal.
type Kind uint32

// The kinds, as src/refusal.h numbers them.
const (
	NoPort        Kind = 1 + iota // connect(): EADDRNOTAVAIL, no port of the range is free
	PortTaken                     // connect(): EADDRNOTAVAIL, the bound port is in use
	ConnectError                  // connect() was ended by an answer or for want of one: Errno
	ConnectRepeat                 // a SYN of connect() was sent again
	AcceptQueue                   // the final ACK of a handshake met a full accept queue
	SynackRepeat                  // a SYN-ACK was sent again
	Dropped                       // a segment was dropped for a reason that was asked for
	NoFile                        // a system call found no descriptor: Errno
	kinds
)

// ListenOverflow is the reason of AcceptQueue, by its name.
const ListenOverflow = "TCP_LISTEN_OVERFLOW"

// ErrnoName is "ECONNREFUSED".
func ErrnoName(e syscall.Errno) string { return unix.ErrnoName(e) }

// Refusal is what was counted of one kind at one place since the last Read.
type Refusal struct {
	Kind        Kind
	Errno       syscall.Errno // of ConnectError and NoFile
	Reason      string        // of Dropped, AcceptQueue: the kernel's name, "QDISC_DROP"
	NetNS       uint32        // inode number of the network namespace
	PID         uint32        // in the pid namespace of this process; 0 where not known
	Comm        string        // of the process at that time; any bytes; "" where not known
	Inode       uint32        // of the socket, where its holder has to be looked up
	Source      netip.AddrPort
	Destination netip.AddrPort
	Client      netip.AddrPort // the last one, of a listener (whose address is Source)
	Queue, Most uint64         // of a listener: in its accept queue, and the backlog
	Count       uint64
	First, Last time.Duration // since boot, without sleep (CLOCK_MONOTONIC)
}

// RefusalOptions say what to look at.
type RefusalOptions struct {
	NetNS   uint32   // one network namespace, by its inode number; 0: all
	Reasons []string // of drops, by the kernel's names without SKB_DROP_REASON_
	Files   bool     // EMFILE and ENFILE: a tax on every system call of the host
}

// Refusals counts in the kernel what is refused, until Close. Not for concurrent use.
type Refusals struct {
	loaded  []*ebpf.Collection
	links   []link.Link
	maps    map[string]*ebpf.Map
	reasons map[uint32]string
	seen    map[key]progress
	// Missing are the programs that do not work here: what they would see is not seen.
	Missing []*Error
}

// progress is what was reported of a record, and how often it has been the same since.
type progress struct {
	count uint64
	still int
}

// program is one of the objects, and the tracepoint that it hangs on.
type program struct {
	name    string
	prepare func(*ebpf.CollectionSpec) error
}

// NewRefusals loads what this kernel has and attaches it. The error is that of the first program
// where none works.
func NewRefusals(o RefusalOptions) (*Refusals, error) {
	if !Permitted() {
		return nil, &Error{"connects", Forbidden, lacksCapabilities, nil}
	}
	level, space, err := pidNamespace()
	if err != nil {
		return nil, err
	}
	r := &Refusals{maps: map[string]*ebpf.Map{}, seen: map[key]progress{}}
	common := func(s *ebpf.CollectionSpec) error {
		return errors.Join(s.Variables["only"].Set(o.NetNS),
			setIfUsed(s, "pid_level", level), setIfUsed(s, "pid_space", space))
	}
	drops := func(s *ebpf.CollectionSpec) error {
		return errors.Join(common(s), r.prepareDrops(s, o.Reasons))
	}
	programs := []program{{"connects", common}, {"repeats", common}, {"synacks", common},
		{"drops", drops}}
	if o.Files {
		programs = append(programs, program{"files", common})
	}
	for _, p := range programs {
		var why *Error
		if err := r.start(p); errors.As(err, &why) {
			r.Missing = append(r.Missing, why)
		} else if err != nil {
			r.Close()
			return nil, err
		}
	}
	if len(r.links) == 0 {
		return nil, r.Missing[0]
	}
	return r, nil
}

// setIfUsed sets a constant; the compiler leaves out those that a program does not use.
func setIfUsed(s *ebpf.CollectionSpec, name string, value uint32) error {
	if v := s.Variables[name]; v != nil {
		return v.Set(value)
	}
	return nil
}

func (r *Refusals) start(p program) error {
	loaded, err := load(p.name, p.prepare, r.maps)
	if err != nil {
		return err
	}
	l, err := link.AttachTracing(link.TracingOptions{Program: loaded.Programs[p.name]})
	if err != nil {
		loaded.Close()
		return refusal(p.name, err)
	}
	r.loaded, r.links = append(r.loaded, loaded), append(r.links, l)
	for _, name := range []string{"refusals", "totals", "connecting"} {
		if m := loaded.Maps[name]; m != nil && r.maps[name] == nil {
			r.maps[name] = m
		}
	}
	return nil
}

// Close detaches and unloads. The kernel does so too when the process ends.
func (r *Refusals) Close() {
	for _, l := range r.links {
		l.Close()
	}
	for _, c := range r.loaded {
		c.Close()
	}
	r.links, r.loaded = nil, nil
}

// pidNamespace is how deep that of this process is, and its inode number.
func pidNamespace() (level, inode uint32, err error) {
	var st unix.Stat_t
	if err := unix.Stat("/proc/self/ns/pid", &st); err != nil {
		return 0, 0, fmt.Errorf("read the pid namespace: %w", err)
	}
	o, err := NewOwners(0)
	if err != nil {
		return 0, uint32(st.Ino), nil // before 5.11: that of the host, or no pids
	}
	defer o.Close()
	found := errors.New("found")
	err = o.each(func(Held) error { return nil }, func(t Table) error {
		level = t.level
		return found
	})
	if !errors.Is(err, found) {
		return 0, 0, errors.Join(io.ErrUnexpectedEOF, err)
	}
	return level, uint32(st.Ino), nil
}

// prepareDrops tells the program which reasons are wanted by their numbers in this kernel, and
// whether the tracepoint names the socket that was to receive (Linux 6.11).
func (r *Refusals) prepareDrops(s *ebpf.CollectionSpec, wanted []string) error {
	cache, err := kernelTypes()
	if err != nil {
		return err
	}
	kernel, err := cache.Kernel()
	if err != nil {
		return err
	}
	var names *btf.Enum
	var hook *btf.Typedef
	if err := errors.Join(kernel.TypeByName("skb_drop_reason", &names),
		kernel.TypeByName("btf_trace_kfree_skb", &hook)); err != nil {
		return &Error{"drops", Absent, "reasons of dropped segments", nil}
	}
	arguments := parameters(hook)
	if arguments < 3 {
		return &Error{"drops", Absent, "reasons of dropped segments", nil}
	}
	r.reasons = map[uint32]string{}
	var kinds [256]uint8
	for _, v := range names.Values {
		name := strings.TrimPrefix(v.Name, "SKB_DROP_REASON_")
		if v.Value >= uint64(len(kinds)) {
			continue
		}
		r.reasons[uint32(v.Value)] = name
		if slices.Contains(wanted, name) {
			kinds[v.Value] = uint8(Dropped)
		}
		if name == ListenOverflow {
			kinds[v.Value] = uint8(AcceptQueue)
		}
	}
	if !slices.Contains(kinds[:], uint8(AcceptQueue)) {
		r.Missing = append(r.Missing, &Error{"drops", Absent, "a reason for a full " +
			"accept queue: it shows by counters alone", nil})
	}
	var socket uint32
	if arguments > 3 {
		socket = 1
	}
	return errors.Join(s.Variables["kinds"].Set(kinds),
		s.Variables["has_socket"].Set(socket))
}

// parameters is how many arguments a tracepoint has.
func parameters(hook *btf.Typedef) int {
	p, ok := hook.Type.(*btf.Pointer)
	if !ok {
		return 0
	}
	f, ok := p.Target.(*btf.FuncProto)
	if !ok {
		return 0
	}
	return len(f.Params) - 1 // the first is the tracer's
}

// key and value are those of src/refusal.h.
type key struct {
	Kind, Reason, NetNS, PID, Inode          uint32
	Family, SourcePort, DestinationPort, Pad uint16
	Source, Destination                      [16]byte
}

type value struct {
	Count, First, Last, Used, Most uint64
	Peer                           [16]byte
	PeerPort                       uint16
	Pad                            [3]uint16
	Comm                           [16]byte
}

const (
	batchRecords = 256
	// stillFor is after how many reads without a change a record makes room.
	stillFor = 64
)

// Read calls each for what was counted since the last Read, in no order.
func (r *Refusals) Read(each func(Refusal)) error {
	m := r.maps["refusals"]
	var at ebpf.MapBatchCursor
	keys, values := make([]key, batchRecords), make([]value, batchRecords)
	for {
		n, err := m.BatchLookup(&at, keys, values, nil)
		for i := range n {
			r.tell(&keys[i], &values[i], each)
		}
		switch {
		case errors.Is(err, ebpf.ErrKeyNotExist):
			return nil
		case err != nil:
			return fmt.Errorf("read what was refused: %w", err)
		}
	}
}

func (r *Refusals) tell(k *key, v *value, each func(Refusal)) {
	p := r.seen[*k]
	if v.Count > p.count {
		x := r.refusal(k, v)
		x.Count = v.Count - p.count
		each(x)
		r.seen[*k] = progress{v.Count, 0}
		return
	}
	if p.still++; p.still < stillFor {
		r.seen[*k] = p
		return
	}
	// What comes in between is in the totals all the same.
	if r.maps["refusals"].Delete(k) == nil {
		delete(r.seen, *k)
	}
}

func (r *Refusals) refusal(k *key, v *value) Refusal {
	x := Refusal{Kind: Kind(k.Kind), NetNS: k.NetNS, PID: k.PID, Inode: k.Inode,
		Queue: v.Used, Most: v.Most,
		First: time.Duration(v.First), Last: time.Duration(v.Last),
		Comm:        unix.ByteSliceToString(v.Comm[:]),
		Source:      endpoint(k.Source, k.SourcePort),
		Destination: endpoint(k.Destination, k.DestinationPort),
		Client:      endpoint(v.Peer, v.PeerPort)}
	switch x.Kind {
	case ConnectError, NoFile:
		x.Errno = syscall.Errno(k.Reason)
	case Dropped, AcceptQueue:
		x.Reason = r.reasons[k.Reason]
	}
	return x
}

// endpoint is invalid where the program had no address.
func endpoint(address [16]byte, port uint16) netip.AddrPort {
	a := netip.AddrFrom16(address).Unmap()
	if a == netip.IPv6Unspecified() && port == 0 {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(a, port)
}

// Total is what the kernel has seen of one kind since the start.
type Total struct {
	Counted uint64 // events that Read tells of, sooner or later
	Lost    uint64 // events for which there was no room
}

// Totals are those of each kind.
func (r *Refusals) Totals() (map[Kind]Total, error) {
	all := map[Kind]Total{}
	for k := NoPort; k < kinds; k++ {
		var t Total
		if err := r.maps["totals"].Lookup(uint32(k), &t); err != nil {
			return nil, fmt.Errorf("read how much was refused: %w", err)
		}
		all[k] = t
	}
	return all, nil
}

// SinceBoot is the clock of Refusal.First and Last.
func SinceBoot() time.Duration {
	var now unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &now) != nil {
		return 0
	}
	return time.Duration(now.Nano())
}
