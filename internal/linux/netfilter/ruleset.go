//go:build linux

package netfilter

import (
	"context"
	"maps"
	"slices"

	"golang.org/x/sys/unix"
)

// Chain names one chain.
type Chain struct{ Family, Table, Name string }

// Ruleset is the rules of nf_tables as far as they bear on connections.
type Ruleset struct {
	Rules   int // all of them
	Bearing []Rule
	// bearing ones beyond the number asked for, and those of them that rewrite sources
	Left, LeftNAT int
	hooks         map[Chain][]string
	known         bool // all jumps are in hooks
}

// Hooks are the places of the stack from which a chain's rules are reached: "input", "output",
// "forward", "prerouting", "postrouting"; none where they are not known.
func (s *Ruleset) Hooks(c Chain) []string { return s.hooks[c] }

var hookNames = []string{"prerouting", "input", "forward", "output", "postrouting"}

// mostJumps bounds the jumps between chains that are kept.
const mostJumps = 1 << 16

// Read lists the rules. Of those that bear on connections it keeps as many as most. A kernel
// without nf_tables gives an error that is unix.EINVAL or unix.EOPNOTSUPP.
func Read(ctx context.Context, most int) (Ruleset, error) {
	hooks, err := baseChains()
	if err != nil {
		return Ruleset{}, err
	}
	var s Ruleset
	jumps := map[[2]Chain]bool{}
	err = dump("the rules of nf_tables", nftGetRule, nftNewRule, header(unix.AF_UNSPEC),
		func() {
			s = Ruleset{known: true}
			clear(jumps)
		},
		func(family byte, b []byte) error {
			r, err := parseRule(family, b)
			if err != nil {
				return err
			}
			s.Rules++
			switch {
			case !r.Bears():
			case len(s.Bearing) < most:
				s.Bearing = append(s.Bearing, r)
			case r.NAT != nil:
				s.LeftNAT++
				fallthrough
			default:
				s.Left++
			}
			if r.Verdict == "jump" || r.Verdict == "goto" {
				from := Chain{r.Family, r.Table, r.Chain}
				if s.known = s.known && len(jumps) < mostJumps; s.known {
					jumps[[2]Chain{from, {r.Family, r.Table, r.To}}] = true
				}
			}
			return ctx.Err()
		})
	if s.known {
		s.hooks = reached(hooks, jumps)
	} else {
		s.hooks = hooks
	}
	return s, err
}

// baseChains are the chains that hang in a hook.
func baseChains() (hooks map[Chain][]string, err error) {
	const table, name, hook, hookNumber = 1, 3, 4, 1
	err = dump("the chains of nf_tables", nftGetChain, nftNewChain, header(unix.AF_UNSPEC),
		func() { hooks = map[Chain][]string{} },
		func(family byte, b []byte) error {
			a, err := parse(b)
			if err != nil || len(a[hook]) == 0 {
				return err
			}
			in, err := parse(a[hook])
			if n := in.number(hookNumber); err == nil && n < uint64(len(hookNames)) {
				hooks[Chain{families[family], a.text(table), a.text(name)}] =
					[]string{hookNames[n]}
			}
			return err
		})
	return hooks, err
}

// reached adds to each chain the hooks of those that jump to it.
func reached(hooks map[Chain][]string, jumps map[[2]Chain]bool) map[Chain][]string {
	to := map[Chain][]Chain{}
	for j := range jumps {
		to[j[0]] = append(to[j[0]], j[1])
	}
	queue := slices.Collect(maps.Keys(hooks))
	for len(queue) > 0 {
		from := queue[0]
		queue = queue[1:]
		for _, next := range to[from] {
			if all := union(hooks[next], hooks[from]); len(all) > len(hooks[next]) {
				hooks[next] = all
				queue = append(queue, next)
			}
		}
	}
	return hooks
}

func union(a, b []string) []string {
	all := slices.Concat(a, b)
	slices.Sort(all)
	return slices.Compact(all)
}
