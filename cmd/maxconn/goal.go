package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"github.com/maxconn/maxconn/internal/limit"
)

// goals reads what --outbound and --inbound say. The first error sticks.
type goals struct {
	ctx   context.Context
	local bool // host names may be looked up: the snapshot is of this host
	err   error
}

func (g *goals) outbound(text string) limit.Goal {
	goal, err := parseGoal(text)
	if err == nil && goal.Burst > 0 {
		err = errors.New(
			"a burst meets the queue of a listener: it is asked for with --inbound")
	}
	if err == nil {
		goal.Subject, err = g.destination(goal.Subject)
	}
	return g.checked("--outbound",
		"write an address and port: --outbound 10.0.0.9:5432=500/s, --outbound "+
			"[2001:db8::1]:443=20k", text, goal, err)
}

func (g *goals) inbound(text string) limit.Goal {
	goal, err := parseGoal(text)
	if err == nil {
		goal.Subject, err = listener(goal.Subject)
	}
	return g.checked("--inbound",
		"write a listener: --inbound :443=100k, --inbound 0.0.0.0:8080=200/s, "+
			"--inbound :80=2000@once", text, goal, err)
}

func (g *goals) checked(flag, hint, text string, goal limit.Goal, err error) limit.Goal {
	if err != nil && g.err == nil {
		g.err = misuse(hint, "%s %s: %w", flag, quoted(text), err)
	}
	return goal
}

// destination is an address and port; a host name is looked up, and its first address counts.
func (g *goals) destination(text string) (string, error) {
	if at, err := netip.ParseAddrPort(text); err == nil {
		return netip.AddrPortFrom(at.Addr().Unmap(), at.Port()).String(),
			checkPort(at.Port())
	}
	name, port, err := net.SplitHostPort(text)
	if err != nil || name == "" {
		return "", fmt.Errorf("%s is not an address and port", quoted(text))
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return "", fmt.Errorf("%s is not a port", quoted(port))
	}
	if !g.local {
		return "", errors.New(
			"a host name may mean something else where the snapshot comes from: " +
				"write the address")
	}
	addresses, err := net.DefaultResolver.LookupNetIP(g.ctx, "ip", name)
	if err != nil {
		return "", err
	}
	return netip.AddrPortFrom(addresses[0].Unmap(), uint16(n)).String(), nil
}

// listener is "443", ":443", "*:443" or an address and port.
func listener(text string) (string, error) {
	if at, err := netip.ParseAddrPort(text); err == nil {
		return netip.AddrPortFrom(at.Addr().Unmap(), at.Port()).String(),
			checkPort(at.Port())
	}
	port, any := strings.CutPrefix(text, "*:")
	if !any {
		port = strings.TrimPrefix(text, ":")
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return "", fmt.Errorf("%s is not a listener", quoted(text))
	}
	return ":" + strconv.FormatUint(n, 10), nil
}

// askedOnce refuses goals of which one would be lost: two figures of one measure for the same
// subject.
func askedOnce(all []limit.Goal) error {
	type asked struct {
		subject string
		measure limit.Measure
	}
	seen := map[asked]int64{}
	for _, g := range all {
		for _, m := range []limit.Measure{limit.Held, limit.PerSecond, limit.Burst} {
			key := asked{g.Subject, m}
			switch was := seen[key]; {
			case g.Want(m) == 0:
			case was > 0:
				return fmt.Errorf("%s is asked for two figures %s, %d and %d",
					quoted(g.Subject), m, was, g.Want(m))
			default:
				seen[key] = g.Want(m)
			}
		}
	}
	return nil
}

// once is the first error, or that of goals that contradict each other.
func (g *goals) once(w limit.Workload) error {
	err := cmp.Or(askedOnce(w.Outbound), askedOnce(w.Inbound))
	if g.err != nil || err == nil {
		return g.err
	}
	return misuse("a listener or destination has one figure for each: held, /s and @once",
		"goals: %w", err)
}

func checkPort(port uint16) error {
	if port == 0 {
		return errors.New("0 is not a port")
	}
	return nil
}

// parseGoal reads SUBJECT=COUNT, SUBJECT=RATE/s or SUBJECT=BURST@once.
func parseGoal(text string) (limit.Goal, error) {
	i := strings.LastIndexByte(text, '=')
	if i <= 0 {
		return limit.Goal{},
			errors.New("it needs the form NAME=COUNT, NAME=RATE/s or NAME=BURST@once")
	}
	g := limit.Goal{Subject: text[:i]}
	err := parseWant(&g, text[i+1:])
	return g, err
}

// parseWant reads what is wanted: 100k held at one time, 500/s new ones each second, or
// 2000@once as a burst.
func parseWant(g *limit.Goal, text string) error {
	number, isRate := strings.CutSuffix(text, "/s")
	number, isBurst := strings.CutSuffix(number, "@once")
	n, err := parseCount(number)
	switch {
	case err == nil && isRate && isBurst:
		return fmt.Errorf("%s is both a rate and a burst", quoted(text))
	case isRate:
		g.PerSecond = n
	case isBurst:
		g.Burst = n
	default:
		g.Held = n
	}
	return err
}

// parseCount reads 100000, 100,000, 100k, 1.5M: a whole number above zero.
func parseCount(text string) (int64, error) {
	digits, unit := text, 1.0
	if n := len(text); n > 0 {
		switch text[n-1] {
		case 'k', 'K':
			digits, unit = text[:n-1], 1e3
		case 'M':
			digits, unit = text[:n-1], 1e6
		}
	}
	digits = withoutSeparators(digits)
	if digits == "" || strings.Trim(digits, "0123456789.") != "" {
		return 0, fmt.Errorf("%s is not a count such as 20000, 100k or 1M", quoted(text))
	}
	f, err := strconv.ParseFloat(digits, 64)
	f = math.Round(f*unit*1e6) / 1e6 // 1.001k is a thousand and one
	switch {
	case err != nil || f != math.Trunc(f):
		return 0, fmt.Errorf("%s is not a whole number", quoted(text))
	case f < 1:
		return 0, fmt.Errorf("%s is not above zero", quoted(text))
	case f > 1e15:
		return 0, fmt.Errorf("%s is more than any host can do", quoted(text))
	}
	return int64(f), nil
}

// withoutSeparators takes the commas out of 100,000 and leaves what is not grouped by three alone.
func withoutSeparators(digits string) string {
	groups := strings.Split(digits, ",")
	for i, g := range groups {
		if i > 0 && len(g) != 3 || i == 0 && len(groups) > 1 &&
			(len(g) == 0 || len(g) > 3) {
			return digits
		}
	}
	return strings.Join(groups, "")
}
