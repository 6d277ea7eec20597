package observe

import (
	"testing"

	"github.com/maxconn/maxconn/internal/linux/sockdiag"
)

// What is left to read of each process, and what one of its descriptors stands for.
func TestAccount(t *testing.T) {
	whole := &holder{pid: 1, name: 1, files: 300, read: 300, complete: true}
	large := &holder{pid: 2, name: 2, files: 10_160, read: 1160, first: 160, value: 4 | sampled}
	second := &holder{pid: 3, name: 2, files: 5160, read: 256, first: 160, value: 6 | sampled}
	// the table was full
	full := &holder{pid: 4, name: 3, files: 400, read: 400, passed: 50, complete: true}
	o := &owners{holders: []*holder{whole, large, second, full}, concealed: 7}
	o.account()
	for _, c := range []struct {
		h      *holder
		left   uint64
		weight float64
		all    bool
	}{{whole, 0, 1, true}, {large, 9000, 10, false}, {second, 4904, 5000.0 / 96, false},
		{full, 50, 1, false}} {
		own, others := o.unread.of(o.unread.process, uint32(c.h.pid))
		if own != c.left || own+others != 9000+4904+50+7 || c.h.weight != c.weight ||
			c.h.all != c.all {
			t.Errorf("pid %d: %d left, %d others', weight %v, all %v; want %+v",
				c.h.pid, own, others, c.h.weight, c.h.all, c)
		}
	}
	if own, others := o.unread.of(o.unread.name, 2); own != 13904 || others != 57 {
		t.Errorf("of one name %d are left, of others %d", own, others)
	}
	for what, blind := range map[string]*owners{
		"hidden":  {hidden: true},
		"partial": {partial: true},
		"starved": {starved: sockdiag.ErrInterrupted},
	} {
		blind.account()
		if own, others := blind.unread.of(blind.unread.process, 2); own != 0 ||
			others < 1<<40 {
			t.Errorf("%s: %d and %d left", what, own, others)
		}
	}
}

// Sockets without a holder are more than processes read in part can account for, or may be theirs.
func TestTooManyStrays(t *testing.T) {
	for _, c := range []struct {
		hits    int
		weight  float64
		strays  int
		tooMany bool
	}{
		{0, 1, 1024, false}, {0, 1, 1025, true},
		{1000, 10, 9000, false}, {1000, 10, 14_000, false}, {1000, 10, 18_000, true},
	} {
		var x strays
		for range c.hits {
			x.add(&sockdiag.Socket{Inode: 5}, &holder{}, c.weight)
		}
		for range c.strays {
			x.add(&sockdiag.Socket{Inode: 6}, nil, 0)
		}
		if x.tooMany() != c.tooMany || len(x.some) > maxStrays {
			t.Errorf("%+v: %v, %d kept", c, x.tooMany(), len(x.some))
		}
	}
}
