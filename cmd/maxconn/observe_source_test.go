//go:build linux

package main

import (
	"errors"
	"testing"

	"github.com/maxconn/maxconn/internal/linux/netns"
)

// A subject that is not there is misuse; one that went away while it was observed is not.
func TestSubjectThatWentAway(t *testing.T) {
	for _, c := range []struct {
		source source
		reason netns.Reason
		status int
		words  string
	}{
		{source{pid: 7}, netns.Gone, statusUnknown,
			"could not tell: process 7 ended while it was observed"},
		{source{netns: "/proc/7/ns/net"}, netns.Gone, statusUnknown,
			"could not tell: the process of network namespace /proc/7/ns/net ended " +
				"while it was observed"},
		{source{netns: "blue"}, netns.NoSuchName, statusUnknown,
			"could not tell: the network namespace blue was removed while it was " +
				"observed"},
		{source{netns: "blue"}, netns.NotNamespace, statusUnknown,
			"could not tell: the network namespace blue was removed while it was " +
				"observed"},
		{source{netns: "blue"}, netns.Permission, statusFailed,
			`enter network namespace "x": no permission (needs CAP_SYS_ADMIN)`},
	} {
		err := namespaceError(&netns.Error{Op: "enter", Subject: "x", Reason: c.reason})
		var f *failure
		if after := c.source.wentAway(err); !errors.As(after, &f) || f.status != c.status ||
			f.Error() != c.words {
			t.Errorf("%+v, %s: %+v", c.source, c.reason, after)
		}
	}
	if err := (source{}).wentAway(nil); err != nil {
		t.Errorf("no error became %v", err)
	}
}
