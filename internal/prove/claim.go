package prove

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/maxconn/maxconn/internal/limit"
	"github.com/maxconn/maxconn/internal/prove/proof"
)

// Claim is a sentence about the kernel that a trial can confirm or refute.
type Claim struct {
	ID     string   // stable: argument of `maxconn prove`, row of docs/proofs.md
	Limit  limit.ID // the limit of the catalogue that it is about
	Says   string   // the claim, one sentence, no full stop
	Source string   // kernel file and function, and since which version
	Unit   string   // of the figure: "connections", "s", "connections/s"
	// Takes is about how long the trial runs; more than Fast runs only with --all or by name.
	Takes time.Duration
	// Busy is how the trial uses the CPU.
	Busy Busy
	// Machine is why only an expendable machine can show it, "" where a namespace can.
	Machine string
	// Needs is the first kernel that has what the trial uses, "5.10" and so on; "" for any.
	Needs string
	Trial func(*Bench) Outcome
}

// Busy is how much of the machine a trial takes.
type Busy int

const (
	Waits Busy = iota // waits most of the time; any number may run at once
	Works             // keeps about one CPU busy, or must not wait for one
	Alone             // needs quiet: no other trial works meanwhile
)

// Fast is the longest that a trial of the fast set takes.
const Fast = 8 * time.Second

// Slow says whether the claim is left out of the fast set.
func (c *Claim) Slow() bool { return c.Takes > Fast }

// claims is filled by register while the package is initialised and never changes after that.
var claims []*Claim

// register adds a claim.
func register(c Claim) *Claim {
	claims = append(claims, &c)
	return &c
}

// Listed is the claim as a list shows it.
func (c *Claim) Listed() proof.Listed {
	return proof.Listed{
		ID: c.ID, Limit: string(c.Limit), Says: c.Says, Slow: c.Slow(),
		Machine: c.Machine != "",
	}
}

// Claims lists all claims, sorted by limit and ID.
func Claims() []*Claim {
	return slices.SortedFunc(slices.Values(claims), func(a, b *Claim) int {
		if d := cmp.Compare(a.Limit, b.Limit); d != 0 {
			return d
		}
		return strings.Compare(a.ID, b.ID)
	})
}

// Modules are those of the kernel that trials use besides what a machine has anyway:
// queues, devices, rules that track, count and rewrite connections. Counters are no module of their
// own since 5.18.
func Modules() []string {
	return []string{"sch_fq_codel", "sch_tbf", "dummy", "nf_tables", "nft_ct", "nft_chain_nat",
		"nft_nat", "nft_connlimit", "nft_counter?", "nf_conntrack_netlink"}
}

// About lists the claims with this ID or about the limit with this ID.
func About(id string) (found []*Claim) {
	for _, c := range Claims() {
		if c.ID == id || string(c.Limit) == id {
			found = append(found, c)
		}
	}
	return found
}

// Named are the claims with these IDs or about the limits with these IDs, each once; unknown is the
// first ID that is neither.
func Named(ids []string) (claims []*Claim, unknown string) {
	for _, id := range ids {
		found := About(id)
		if len(found) == 0 {
			return nil, id
		}
		for _, c := range found {
			if !slices.Contains(claims, c) {
				claims = append(claims, c)
			}
		}
	}
	return claims, ""
}
