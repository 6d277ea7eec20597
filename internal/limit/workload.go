package limit

// Workload is what is wanted of the host. The zero value wants nothing in particular.
type Workload struct {
	Outbound []Goal
	Inbound  []Goal
}

// Goal is one wanted flow of connections.
type Goal struct {
	// Subject is the destination "10.0.0.9:5432" (outbound; a host name is the caller's to
	// resolve) or the listener "0.0.0.0:443" or ":443" (inbound).
	Subject   string
	Held      int64 // connections at one time; 0 = not asked
	PerSecond int64 // new connections each second; 0 = not asked
}

// Want is the goal's demand in this measure, 0 where it asks for nothing. A
// burst is never asked for: a rate and a queue are not compared.
func (g Goal) Want(m Measure) int64 {
	switch m {
	case Held:
		return g.Held
	case PerSecond:
		return g.PerSecond
	}
	return 0
}
