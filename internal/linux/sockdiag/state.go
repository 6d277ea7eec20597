package sockdiag

import "strconv"

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
