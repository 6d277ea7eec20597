package plan

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

const queues = basics + `
listener 0.0.0.0:443 = family=4 queue=0 limit=511 drops=0 inode=201 pid=40 process=web
listener 0.0.0.0:443~2 = family=4 queue=0 limit=511 drops=0 inode=202 pid=41 process=web
listener [::ffff:127.0.0.1]:8080 = family=6 queue=0 limit=5 drops=0 inode=203 pid=42 process=app
listener [::]:8080 = family=6 queue=0 limit=8192 drops=0 inode=204 pid=42 process=app
listener 0.0.0.0:9000 = family=4 queue=0 limit=5 drops=0 inode=205
process 40 = name=web start=400
process 41 = name=web start=410
process 42 = name=app start=420
`

// Several listeners are one plan: somaxconn once, first, and large enough for all; then each member
// of a group that is shorter, with what tells its socket and process from others.
func TestLengthen(t *testing.T) {
	const web, second = "accept queue of 0.0.0.0:443, web (pid 40)",
		"accept queue of 0.0.0.0:443 (member 2 of its SO_REUSEPORT group), web (pid 41)"
	const app = "accept queue of [::ffff:127.0.0.1]:8080, app (pid 42)"
	for name, c := range map[string]struct {
		asked []Queue
		want  []string
	}{
		"below the cap": {[]Queue{{":443", 1000}},
			[]string{web + " 511 1000", second + " 511 1000"}},
		"two, one above the cap": {[]Queue{{":443", 600}, {"127.0.0.1:8080", 5000}},
			[]string{
				"net.core.somaxconn 4096 5000", web + " 511 600",
				second + " 511 600",
				app + " 5 5000",
			}},
		"the larger cap for both": {[]Queue{{":443", 9000}, {"127.0.0.1:8080", 10000}},
			[]string{
				"net.core.somaxconn 4096 10000", web + " 511 9000",
				second + " 511 9000",
				app + " 5 10000",
			}},
		"one of two on a port": {[]Queue{{":8080", 4096}}, []string{app + " 5 4096"}},
		"the same listener, twice": {[]Queue{{"127.0.0.1:8080", 9}, {":8080", 7}},
			[]string{app + " 5 9"}},
		"a cap below what there is":  {[]Queue{{"[::]:8080", 8192}}, nil},
		"one that is as long, lower": {[]Queue{{"0.0.0.0:443", 100}}, nil},
	} {
		p, err := Lengthen(parsed(t, queues), c.asked, Options{})
		var have []string
		for _, x := range p.Changes {
			have = append(have, strings.Join([]string{x.Setting, x.From, x.To}, " "))
			if x.Target.PID != 0 &&
				(x.Target.Start != uint64(x.Target.PID)*10 ||
					x.Target.Inode < 201) {
				t.Errorf("%s: %+v", name, x.Target)
			}
		}
		if err != nil || !slices.Equal(have, c.want) || !p.Holds {
			t.Errorf("%s: %v, %q, want %q", name, err, have, c.want)
		}
	}
}

// What cannot be done while the program runs is an error, not a plan without it.
func TestLengthenRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		facts, listener, want string
	}{
		"nothing there": {queues, ":444", "nothing listens on :444 here"},
		"another address": {queues, "10.0.0.1:443",
			"nothing listens on 10.0.0.1:443 here"},
		"an unseen holder": {queues, ":9000",
			"the process that has it open could not be seen"},
		"an old kernel": {strings.ReplaceAll(queues, "6.18.0", "5.4.0"), ":443",
			"from outside this takes pidfd_getfd, Linux 5.6"},
		"no cap": {strings.ReplaceAll(queues, "sysctl net.core.somaxconn = 4096\n", ""),
			":443",
			"net.core.somaxconn, which could not be seen here"},
	} {
		p, err := Lengthen(parsed(t, c.facts), []Queue{{c.listener, 5000}}, Options{})
		var refused *QueueError
		if !errors.As(err, &refused) || !strings.Contains(err.Error(), c.want) ||
			len(p.Changes) > 0 {
			t.Errorf("%s: %v, %+v, want %q", name, err, p.Changes, c.want)
		}
	}
}
