package result

// Mode is what is done with connections.
type Mode string

const (
	Hold  Mode = "hold"  // open that many, keep them
	Churn Mode = "churn" // connect, perhaps ask and be answered, close, again
	Burst Mode = "burst" // that many handshakes at once, then hold
	Talk  Mode = "talk"  // open that many, keep them idle, then all ask at once
)

// Modes are all of them.
var Modes = []Mode{Hold, Churn, Burst, Talk}

// Close is how a connection of churn ends.
type Close string

const (
	ClientRST Close = "rst"        // the client resets: no TIME_WAIT anywhere
	ClientFIN Close = "fin"        // the client closes first and has the TIME_WAIT
	ServerFIN Close = "server-fin" // the server closes first and has the TIME_WAIT
	ServerRST Close = "server-rst" // the server resets
	// reset, and the client's socket is used for the next connection (connect(2) to
	// AF_UNSPEC)
	Reuse Close = "reuse"
)

// Closes are all of them.
var Closes = []Close{ClientRST, ClientFIN, ServerFIN, ServerRST, Reuse}

// Schema names the JSON form of a Report. Fields may be added, none renamed.
const Schema = "maxconn.load/1"

// Report is what a run reached. All figures are measured, unless they say otherwise; what
// could not be measured is null.
type Report struct {
	Schema string `json:"schema"`
	Role   string `json:"role"` // "connect", "pair", "serve", "raw"
	Mode   Mode   `json:"mode,omitempty"`
	Target string `json:"target,omitempty"`
	Close  Close  `json:"close,omitempty"`

	Wanted      int64   `json:"wanted,omitempty"`      // connections
	WantedRate  float64 `json:"wanted_rate,omitempty"` // connections a second
	Attempted   int64   `json:"attempted"`
	Established int64   `json:"established"` // for serve: accepted
	PeakOpen    int64   `json:"peak_open"`
	Held        int64   `json:"held"`    // open at the end, before the run closed them
	Rate        float64 `json:"rate"`    // established connections a second, over Seconds
	Seconds     float64 `json:"seconds"` // from the start to the end of the last handshake
	Total       float64 `json:"total_seconds"`
	Answered    int64   `json:"answered,omitempty"`
	Messages    int64   `json:"messages,omitempty"`

	Errors   map[string]int64 `json:"errors"` // by errno
	Failures []Failure        `json:"failures"`
	Lost     int64            `json:"lost"` // ended while held, not by this run
	TimedOut int64            `json:"timed_out"`
	Refused  int64            `json:"refused"`
	Reset    int64            `json:"reset"`
	// PortsSkipped is source ports that somebody else had.
	PortsSkipped int64 `json:"ports_skipped"`
	// Resent is SYNs that a raw client sent again.
	Resent int64 `json:"resent,omitempty"`

	Connect  Times     `json:"connect_us"`
	Answer   *Times    `json:"answer_us,omitempty"`
	SYNSteps []SYNStep `json:"syn_retransmits"`

	Bytes BytesPer `json:"bytes_per_connection"`
	CPU   *float64 `json:"cpu_us_per_connection"` // of this process, both ends for pair

	Counters []Moved   `json:"counters"`
	Before   *Sockstat `json:"sockstat_before"`
	AtPeak   *Sockstat `json:"sockstat_held,omitempty"`
	After    *Sockstat `json:"sockstat_after"`

	Tables      int   `json:"tables"`       // descriptor tables used
	Processes   int   `json:"processes"`    // worker processes, 0: threads of this one
	WorkersLost int   `json:"workers_lost"` // processes that ended before they should
	FileLimit   int64 `json:"file_limit"`   // of one table

	// why the run ended before its goal: StoppedMemory, StoppedByUser, or in words
	Stopped string   `json:"stopped,omitempty"`
	BoundBy string   `json:"bound_by"`          // the limit that bound first, "" for none
	Because string   `json:"because,omitempty"` // how that was seen
	Missed  []string `json:"missed"`            // what of the goal was not reached
	GoalMet bool     `json:"goal_met"`
	// Server is the report of the other end, where that was started for this run and is
	// no part of it.
	Server *Report  `json:"server,omitempty"`
	Series []Sample `json:"series"`
}

// Why a run ended before its goal.
const (
	StoppedMemory = "memory" // free memory and page cache fell to what is to be kept free
	StoppedByUser = "interrupted"
)

// ByProcessors is in BoundBy where no limit of the catalogue bound but the CPUs did.
const ByProcessors = "processors"

// Times are of one kind of event, in microseconds. Seen is how many were measured.
type Times struct {
	Seen int64   `json:"count"`
	P50  float64 `json:"p50"`
	P90  float64 `json:"p90"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p999"`
	Max  float64 `json:"max"`
	Mean float64 `json:"mean"`
	// Buckets are the whole distribution: how many took at most so long.
	Buckets []Bucket `json:"buckets,omitempty"`
}

// Bucket is Count events that took at most UpTo and more than the one before.
type Bucket struct {
	UpTo  float64 `json:"us"`
	Count int64   `json:"count"`
}

// BytesPer is memory for one connection, null where there were too few to tell. Kernel is
// the loss of free memory and page cache, the user's part taken off; Slab is the growth of
// the kernel's object caches, which other programs disturb less.
type BytesPer struct {
	Kernel *int64 `json:"kernel"`
	User   *int64 `json:"user"`
	Slab   *int64 `json:"slab"`
	// UserTotal is the resident memory of the whole process or processes, in bytes.
	UserTotal int64 `json:"user_total"`
}

// Moved is a counter of this network namespace that is higher, or lower, than before the run.
type Moved struct {
	Name string `json:"name"`
	By   int64  `json:"by"`
}

// Sockstat is the TCP sockets of /proc/net/sockstat. Inuse and TimeWait are of this network
// namespace, the others of the host.
type Sockstat struct {
	Inuse    int64 `json:"inuse"` // IPv6 included
	TimeWait int64 `json:"time_wait"`
	Orphans  int64 `json:"orphans"`
	Alloc    int64 `json:"alloc"`
	Pages    int64 `json:"pages"` // of buffers
}

// SYNStep is connections that were established only after their SYN had been sent again.
type SYNStep struct {
	// waited, rounded: 1, 3, 7; 1, 2, 3, 4, 5, 7 where tcp_syn_linear_timeouts is 4
	// (Linux 6.5)
	Seconds     int   `json:"seconds"`
	Retransmits int   `json:"retransmits"`
	Connections int64 `json:"connections"`
}
