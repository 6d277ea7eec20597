package result

// Sample is the state of a run at one time. Counts are since the start.
type Sample struct {
	Seconds     float64 `json:"t"`
	Attempted   int64   `json:"attempted"`
	Established int64   `json:"established"`
	Open        int64   `json:"open"`
	Failed      int64   `json:"failed"`
	// PerSecond is established connections a second since the sample before.
	PerSecond float64 `json:"per_second"`
	Messages  int64   `json:"messages,omitempty"`
	Free      int64   `json:"free_memory"` // MemFree + file pages, bytes
	CPU       float64 `json:"cpu_s"`       // of this process
}

// Phase is what a connection was about when it failed.
type Phase string

const (
	AtSocket  Phase = "socket"
	AtSource  Phase = "source address" // bind() of one that is none of this host
	AtBind    Phase = "bind"
	AtConnect Phase = "connect"
	AtAccept  Phase = "accept"
	AtWatch   Phase = "watch" // epoll
	AtSend    Phase = "send"
	AtAnswer  Phase = "first byte"
	AtClose   Phase = "close" // which was to come from the server
	AtHeld    Phase = "while held"
	AtWorker  Phase = "worker" // of which it was one
)

// Failure is connections that failed alike.
type Failure struct {
	Phase Phase `json:"phase"`
	// "ECONNREFUSED"; "EOF" where the peer closed, "SHORT" where an answer was cut off,
	// "KILLED"
	Errno string `json:"errno"`
	Count int64  `json:"count"`
	// First is when the first one failed, in seconds from the start; Open how many were
	// open then.
	First float64 `json:"first_s"`
	Open  int64   `json:"first_open"`
}
