package sockdiag

import (
	"net/netip"
	"strconv"
)

// Socket is one TCP socket as the kernel described it. Dump uses one value
// over and over: a caller copies what it keeps.
//
// What the kernel did not say is marked by a Has field that is false, and the
// fields it speaks for are then zero and mean nothing.
type Socket struct {
	Family uint8 // unix.AF_INET or AF_INET6, of the socket itself
	State  State

	// Source and Destination are unmapped: an IPv4 connection on an IPv6
	// socket has IPv4 addresses here and AF_INET6 as Family. A wildcard stays
	// 0.0.0.0 or [::]. Link-local addresses carry no zone; see Interface. In
	// LISTEN and BOUND Destination means nothing: a refused connect leaves its
	// address there.
	Source, Destination netip.AddrPort
	Interface           uint32 // index of the device it is bound to, 0 for none
	Cookie              uint64 // names the socket for its whole life; equals SO_COOKIE

	// For LISTEN: connections waiting for accept, and the limit of that queue
	// (min(backlog, somaxconn); it holds one more). Else bytes: received and
	// not read, written and not acknowledged, a SYN and a FIN counted as one.
	ReceiveQueue, SendQueue uint32

	Timer         Timer  // which timer runs
	ExpiresMillis uint32 // until it fires
	Retransmits   uint8  // sent so far by that timer: segments, SYN-ACKs or probes

	// Owner: absent for TIME_WAIT, for orphaned FIN_WAIT_2 and for half-open
	// connections, which are no full sockets. Inode is 0 while a connection
	// waits for accept and after its process has closed it. UID is that of the
	// creator; older kernels say 0 wherever Inode is 0 (sock_i_uid).
	HasOwner   bool
	UID, Inode uint32

	// Memory: only with Request.Memory, not for the three kinds above.
	HasMemory bool
	Memory    Memory
	// Drops counts the packets this socket dropped. On a listener each refused
	// connection attempt counts, retransmitted ones too (tcp_listendrop).
	// Absent on kernels whose INET_DIAG_SKMEMINFO ends before SK_MEMINFO_DROPS.
	HasDrops bool
	Drops    uint32

	// Info: only with Request.Info, not for the three kinds above, nor for
	// LISTEN, where tcp_info only repeats the queue, nor for BOUND. Times are
	// milliseconds ago; they start to count when the connection is made.
	HasInfo          bool
	LastDataReceived uint32
	LastDataSent     uint32
	LastAckReceived  uint32
	Timestamps       bool // both ends agreed on TCP timestamps (RFC 7323)

	// CgroupID is the inode of the cgroup v2 directory. Sent unasked by kernels
	// that know INET_DIAG_CGROUP_ID and have CONFIG_SOCK_CGROUP_DATA.
	HasCgroup bool
	CgroupID  uint64

	// V6Only: IPV6_V6ONLY was set, or bind named one IPv6 address (inet6_bind).
	// Sent for IPv6 sockets in LISTEN and BOUND.
	HasV6Only bool
	V6Only    bool

	// BindAddressNoPort: IP_BIND_ADDRESS_NO_PORT was set. Sent unasked by
	// kernels that know INET_DIAG_SOCKOPT.
	HasSockopt        bool
	BindAddressNoPort bool
}

// Memory is what a socket's buffers hold, in bytes (INET_DIAG_SKMEMINFO,
// net/core/sock.c sk_get_meminfo).
type Memory struct {
	Received      uint32 // in the receive queue, with overhead
	ReceiveBuffer uint32 // its limit
	Sending       uint32 // handed to the layers below
	SendBuffer    uint32 // limit of the write queue
	Forward       uint32 // taken from tcp_mem and not used yet
	WriteQueued   uint32 // in the write queue
	Options       uint32 // ancillary memory, as of filters
	Backlog       uint32 // arrived while the socket was locked
}

// Timer is the timer that runs for a socket (inet_sk_diag_fill).
type Timer uint8

// The timers.
const (
	TimerNone       Timer = iota
	TimerRetransmit       // also of a SYN-ACK
	TimerKeepalive        // also of a full orphan in FIN_WAIT_2
	TimerTimeWait         // TIME_WAIT, or the stand-in of an orphan in FIN_WAIT_2
	TimerProbe            // zero window probe
)

// State is a TCP state as the kernel numbers them (include/net/tcp_states.h).
type State uint8

// The states. In Request.States
//
//   - TimeWait asks for true TIME_WAIT sockets only, and FinWait2 also for the
//     small sockets that stand in for orphaned FIN_WAIT_2 sockets: the kernel
//     compares their substate;
//   - SynRecv and NewSynRecv both ask for half-open connections, which are
//     returned as SynRecv;
//   - BoundInactive asks for sockets that hold a port by bind and are neither
//     listening nor connected (since 6.8, 91051f003948; ignored before, see
//     ListsBound). No other bit lists them.
const (
	Established State = 1 + iota
	SynSent
	SynRecv
	FinWait1
	FinWait2
	TimeWait
	Close // a socket that was closed between the kernel's choice of it and its answer
	CloseWait
	LastAck
	Listen
	Closing
	NewSynRecv
	BoundInactive
)

// AllStates asks for every state, BoundInactive too.
const AllStates uint32 = 1<<(BoundInactive+1) - 1<<Established

// Mask returns the bit that asks for this state.
func (s State) Mask() uint32 { return 1 << s }

// String returns the kernel's name of the state, BOUND for BoundInactive, and
// STATE_n for a number that has no name.
func (s State) String() string {
	switch s {
	case Established:
		return "ESTABLISHED"
	case SynSent:
		return "SYN_SENT"
	case SynRecv:
		return "SYN_RECV"
	case FinWait1:
		return "FIN_WAIT_1"
	case FinWait2:
		return "FIN_WAIT_2"
	case TimeWait:
		return "TIME_WAIT"
	case Close:
		return "CLOSE"
	case CloseWait:
		return "CLOSE_WAIT"
	case LastAck:
		return "LAST_ACK"
	case Listen:
		return "LISTEN"
	case Closing:
		return "CLOSING"
	case NewSynRecv:
		return "NEW_SYN_RECV"
	case BoundInactive:
		return "BOUND"
	}
	return "STATE_" + strconv.Itoa(int(s))
}
