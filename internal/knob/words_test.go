package knob

import "testing"

func TestSays(t *testing.T) {
	for name, want := range map[string]string{
		"net.core.somaxconn": "caps the backlog argument of listen() at the time of " +
			"the call, and so the SYN queue as well as the " +
			"accept queue; 4,096 by default (128 before Linux 5.4); per network " +
			"namespace, not inherited",
		"net.core.rmem_max": "caps what a program may ask for with SO_RCVBUF; where it " +
			"is above the last number of tcp_rmem, it sets the window scale that the " +
			"SYN offers; 4,194,304 bytes by default (212,992 before Linux 6.17); " +
			"at least 2,304; one value for the host; read-only in a child network " +
			"namespace since Linux 6.11, absent there before",
		"vm.max_map_count": "bounds the mappings of one process; a thread of glibc " +
			"2.36 takes two, its stack and the guard page " +
			"(measured); the next mmap() sees the change; 65,530 by default; one " +
			"value for the host",
		"RLIMIT_NPROC": "bounds the tasks of the real user when a process of his calls " +
			"clone(), since Linux 5.14 in each user namespace by itself; prlimit " +
			"--nproc changes it on a " +
			"running process; half of threads-max by default",
	} {
		if have := Lookup(name).Says(); have != want {
			t.Errorf("%s\nhave %s\nwant %s", name, have, want)
		}
	}
}
