package limit

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/spent"
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

// Paths of cgroups that are nested without end cost no more than their length is worth.
func TestDeepCgroupsAreBounded(t *testing.T) {
	var b strings.Builder
	b.WriteString("maxconn.snapshot/1\ncgroup /1 = version=2 memory_max=9 memory_current=9\n")
	for i := range 200 {
		fmt.Fprintf(&b, "process %d = name=p attributed=all ESTABLISHED=1 cgroup=/1%s\n",
			i+1, strings.Repeat(fmt.Sprintf("/%d", i%10), 4000))
	}
	b.WriteString("end\n")
	s, err := host.Parse([]byte(b.String()))
	if err != nil {
		t.Fatal(err)
	}
	r := s.Read()
	processes := r.Rows(host.ProcessKind)
	var all []tenants
	spent.Within(t, b.Len()/100, func() { all = cgroupTenants(r, processes, "cgroup") })
	if len(all) != 1 || len(all[0].processes) != 200 {
		t.Errorf("%d cgroups", len(all))
	}
}
