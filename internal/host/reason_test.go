package host

import "testing"

// Recorded snapshots hold these words.
func TestAbsence(t *testing.T) {
	for why, want := range map[string]bool{
		"nf_conntrack is not loaded": true, "this kernel has no such setting": true,
		"this kernel does not have it":                  true,
		"/proc/thread-self/net/sockstat does not exist": true,
		"open /proc/sys/x: no such file or directory":   true,
		"the snapshot does not have it":                 false, "permission denied": false,
		"not visible in a child network namespace": false, "": false,
	} {
		if IsAbsence(why) != want {
			t.Errorf("%q means absent: %v, want %v", why, !want, want)
		}
	}
}
