package apply

// Refusal is something that was not begun: nothing was changed.
type Refusal struct {
	Why  string
	Hint string // what to do about it, "" where nothing
	Err  error  // the cause, or nil
}

// Error is one line.
func (r *Refusal) Error() string { return r.Why }

// Unwrap gives the cause.
func (r *Refusal) Unwrap() error { return r.Err }
