package apply

import "testing"

// The journal is never looked for relative to the working directory.
func TestDefaultDir(t *testing.T) {
	for _, c := range []struct {
		uid             int
		home, xdg, want string
	}{
		{0, "", "", "/var/lib/maxconn"},
		{0, "/root", "/x", "/var/lib/maxconn"},
		{7, "/home/a", "", "/home/a/.local/state/maxconn"},
		{7, "/home/a", "/x", "/x/maxconn"},
		{7, "/home/a", "relative", "/home/a/.local/state/maxconn"},
		{7, "", "", ""},
		{7, "home", "", ""},
	} {
		env := map[string]string{"HOME": c.home, "XDG_STATE_HOME": c.xdg}
		if got := DefaultDir(c.uid, func(k string) string {
			return env[k]
		}); got != c.want {
			t.Errorf("%+v: %q", c, got)
		}
	}
}
