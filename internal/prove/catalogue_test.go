package prove

import (
	"slices"
	"testing"

	"github.com/maxconn/maxconn/internal/limit"
)

// unproven are the limits without a claim, and why nothing could show them.
var unproven = map[limit.ID]string{
	limit.ProgramLimit: "the limit is the program's, and no kernel knows of it",
	limit.CloudAllowance: "the allowance is kept outside of the machine, by the cloud that " +
		"lends it",
}

func TestEveryLimitHasAClaim(t *testing.T) {
	for _, l := range limit.Catalogue() {
		claims := About(string(l.ID))
		if why := unproven[l.ID]; (len(claims) == 0) != (why != "") {
			t.Errorf("%s has %d claims and this reason for none: %q", l.ID, len(claims),
				why)
		}
	}
	for id := range unproven {
		if limit.Find(id) == nil {
			t.Errorf("%s is no limit", id)
		}
	}
}

func TestClaimsAreWhole(t *testing.T) {
	var ids []string
	for _, c := range Claims() {
		if c.ID == "" || c.Says == "" || c.Source == "" || c.Unit == "" || c.Takes <= 0 ||
			c.Trial == nil {
			t.Errorf("%q lacks something: %+v", c.ID, c)
		}
		if limit.Find(c.Limit) == nil {
			t.Errorf("%s is about %q, which is no limit", c.ID, c.Limit)
		}
		if slices.Contains(ids, c.ID) || limit.Find(limit.ID(c.ID)) != nil {
			t.Errorf("%s is the name of another claim or of a limit", c.ID)
		}
		ids = append(ids, c.ID)
	}
}
