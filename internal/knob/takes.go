package knob

import (
	"math"

	"github.com/maxconn/maxconn/internal/host"
)

// Kind is what a setting takes.
type Kind uint8

const (
	Text     Kind = iota // anything; not looked at
	Numbers              // whole numbers
	Seconds              // numbers that the kernel multiplies by HZ (proc_dointvec_jiffies)
	PortList             // 8080,9000-9010
	Ports                // two ports
	Word                 // a name
	Shown                // nothing: the kernel shows it, and refuses every write
)

// Bound is what a number may be from a release on.
type Bound struct {
	Since    host.Version
	Low, Top int64
}

// Takes is what the kernel accepts for a setting.
type Takes struct {
	Kind   Kind
	N      int // how many numbers
	Bounds []Bound
	// Unit is that of the numbers, in the plural: "seconds"; "" where it is a count or
	// a switch.
	Unit string
}

// The bounds that many settings share.
var (
	anyInt = []Bound{{Low: math.MinInt32, Top: math.MaxInt32}}
	// oneByte: proc_dou8vec_minmax since 5.13 (net/ipv4/sysctl_net_ipv4.c; proc_dointvec in
	// 5.10, u8 in 5.14), an int before.
	oneByte  = []Bound{anyInt[0], from(5, 13, 0, 255)}
	unsigned = []Bound{{Low: 0, Top: math.MaxInt64}}
)

func atLeast(low int64) []Bound { return []Bound{{Low: low, Top: math.MaxInt32}} }

func between(low, top int64) []Bound { return []Bound{{Low: low, Top: top}} }

// from adds bounds that came with a release.
func from(major, minor int, low, top int64) Bound { return Bound{host.V(major, minor), low, top} }

func one(b []Bound) Takes            { return Takes{Kind: Numbers, N: 1, Bounds: b} }
func several(n int, b []Bound) Takes { return Takes{Kind: Numbers, N: n, Bounds: b} }
func seconds() Takes                 { return Takes{Seconds, 1, anyInt, "seconds"} }
func (t Takes) in(unit string) Takes { t.Unit = unit; return t }
func shown() Takes                   { return Takes{Kind: Shown} }
func (t Takes) bounded() (Bound, bool) {
	b := t.At(host.Release{})
	return b, b != anyInt[0] && b != unsigned[0]
}

// At is the bound on a kernel; one that is not known has the latest.
func (t Takes) At(r host.Release) (b Bound) {
	for _, x := range t.Bounds {
		if !r.Known() || r.Compare(x.Since) >= 0 {
			b = x
		}
	}
	return b
}
