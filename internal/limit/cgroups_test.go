package limit

import (
	"slices"
	"strings"
	"testing"
)

func TestAncestry(t *testing.T) {
	for path, want := range map[string][]string{
		"": nil, "0::/": nil, "/": {"/"}, "/a": {"/", "/a"},
		"/a/b.slice/": {"/", "/a", "/a/b.slice"},
		"/a//b":       {"/", "/a", "/a/", "/a//b"},
	} {
		if have := ancestry(path); !slices.Equal(have, want) {
			t.Errorf("%q: %q, want %q", path, have, want)
		}
	}
	if n := len(ancestry(strings.Repeat("/a", 4000))); n != mostLevels+1 {
		t.Errorf("%d levels", n)
	}
}

// A path of a cgroup that is nested without end costs what its length is worth: ten times the path
// makes ten times the text that is looked up at most, where the square would make a hundred times.
func TestDeepCgroupsAreBounded(t *testing.T) {
	looked := func(levels int) (text int) {
		for _, path := range ancestry(strings.Repeat("/a", levels)) {
			text += len(path)
		}
		return text
	}
	if once, tenfold := looked(mostLevels), looked(10*mostLevels); tenfold > 10*once {
		t.Errorf("a path of %d levels: %d bytes are looked up, of ten times as many %d",
			mostLevels, once, tenfold)
	}
}
