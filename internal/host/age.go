package host

import "time"

// Age is a length of time in coarse steps. Waiting times differ from one reading to the
// next; steps keep two snapshots of a quiet host equal, and claim no accuracy that nobody
// needs.
type Age string

// ages are the steps, longest first.
var ages = []struct {
	least time.Duration
	age   Age
}{
	{time.Hour, "1h"}, {10 * time.Minute, "10m"}, {time.Minute, "1m"},
	{10 * time.Second, "10s"}, {2 * time.Second, "2s"}, {0, "0s"},
}

// AgeOf is the longest step that d reaches.
func AgeOf(d time.Duration) Age {
	for _, a := range ages {
		if d >= a.least {
			return a.age
		}
	}
	return "0s"
}

// AtLeast says whether the age is known and reaches d.
func (a Age) AtLeast(d time.Duration) bool {
	for _, x := range ages {
		if x.age == a {
			return x.least >= d
		}
	}
	return false
}
