//go:build linux

package load

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

// table is the routing table "local" of a host with an address on eth0, a network that is routed
// as local, and one address that a rule sends elsewhere.
func table() []Address {
	row := func(p string, k AddressKind, dev string) Address {
		return Address{netip.MustParsePrefix(p), k, dev}
	}
	return []Address{
		row("127.0.0.0/8", Local, "lo"), row("127.0.0.1/32", Local, "lo"),
		row("127.255.255.255/32", Broadcast, "lo"),
		row("10.0.0.5/32", Local, "eth0"), row("10.0.0.6/32", Local, "eth0"),
		row("10.0.0.255/32", Broadcast, "eth0"),
		row("198.51.100.0/24", Local, "lo"), row("198.51.100.7/32", Elsewhere, ""),
		row("::1/128", Local, "lo"), row("fd00::5/128", Local, "eth0"),
		row("fe80::5/128", Local, "eth0"), row("fd00:1::/64", Local, "lo"),
	}
}

// What each way to name a target means: "" is permitted, "!" is refused whatever is declared, and
// anything else is the declaration that permits it.
func TestPermitTarget(t *testing.T) {
	for _, c := range []struct{ names, want string }{
		{"127.0.0.1", ""}, {"127.1.2.3", ""}, {"127.255.255.254", ""},
		{"127.255.255.255", "!"},
		{"::1", ""}, {"::ffff:127.0.0.1", ""}, {"::ffff:7f00:1", ""},
		{"10.0.0.5", ""}, {"::ffff:10.0.0.5", ""}, {"fd00::5", ""},
		{"198.51.100.9", ""}, {"fd00:1::77", ""}, // routed as local
		{"198.51.100.7", DeclareTarget}, // and by a rule not

		{"10.0.0.7", DeclareTarget}, {"::ffff:10.0.0.7", DeclareTarget},
		{"192.168.1.1", DeclareTarget}, {"172.16.0.1", DeclareTarget},
		{"100.64.0.1", DeclareTarget},
		{"169.254.1.1", DeclareTarget}, {"192.0.2.1", DeclareTarget},
		{"8.8.8.8", DeclareTarget},
		{"fd00::6", DeclareTarget}, {"2001:db8::1", DeclareTarget},
		{"64:ff9b::7f00:1", DeclareTarget},
		{"::127.0.0.1", DeclareTarget}, {"2002:7f00:1::", DeclareTarget},

		{"fe80::5%eth0", ""}, {"fe80::5%eth1", DeclareTarget},
		{"fe80::6%eth0", DeclareTarget},
		{"fe80::5", "!"}, {"fe80::6", "!"},

		{"0.0.0.0", "!"}, {"0.1.2.3", "!"}, {"::", "!"}, {"::ffff:0.0.0.0", "!"},
		{"255.255.255.255", "!"}, {"10.0.0.255", "!"}, {"::ffff:10.0.0.255", "!"},
		{"224.0.0.1", "!"}, {"239.1.1.1", "!"}, {"240.0.0.1", "!"},
		{"::ffff:224.0.0.1", "!"},
		{"ff02::1%eth0", "!"}, {"ff0e::1", "!"},

		// Names with several addresses.
		{"127.0.0.1 ::1", ""}, {"10.0.0.5 10.0.0.6", ""},
		{"127.0.0.1 10.0.0.7", DeclareTarget}, {"10.0.0.7 127.0.0.1", DeclareTarget},
		{"::1 2001:db8::1", DeclareTarget}, {"127.0.0.1 224.0.0.1", "!"},
	} {
		var to []netip.Addr
		for name := range strings.FieldsSeq(c.names) {
			to = append(to, netip.MustParseAddr(name))
		}
		for _, declared := range []bool{false, true} {
			got := declaration(t, Aim{Targets: to, OwnTarget: declared}.Permit(table()))
			if want := wanted(c.want, declared); got != want {
				t.Errorf("%s, declared %v: %q, want %q", c.names, declared, got,
					want)
			}
		}
		raw := Aim{Targets: to, Raw: true, OwnTarget: false}
		if got := declaration(t, raw.Permit(table())); got == "" {
			t.Errorf("%s: frames are permitted without a declaration", c.names)
		}
	}
}

func wanted(want string, declared bool) string {
	if declared && want == DeclareTarget {
		return ""
	}
	return want
}

// declaration is what would permit it, "!" for nothing, "" for what is permitted.
func declaration(t *testing.T, err error) string {
	t.Helper()
	var r *Refusal
	switch {
	case err == nil:
		return ""
	case !errors.As(err, &r) || strings.ContainsAny(r.Text, "\n"):
		t.Fatal(err)
	case r.Declaration == "":
		return "!"
	}
	return r.Declaration
}

func TestPermitSource(t *testing.T) {
	for _, c := range []struct{ list, socket, frames string }{
		{"127.0.0.1", "", ""}, {"127.0.0.0/8", "", ""}, {"10.0.0.5", "", ""},
		{"10.0.0.5-10.0.0.6", "", ""}, {"198.51.100.0/24", "", ""}, {"::1,fd00::5", "", ""},
		{"fd00:1::-fd00:1::ff", "", ""},
		{"10.0.0.4-10.0.0.6", "!", DeclareSources},
		{"10.0.0.5-10.0.0.7", "!", DeclareSources},
		{"10.0.0.7", "!", DeclareSources},
		{"198.51.99.0-198.51.101.0", "!", DeclareSources},
		{"fd00:2::1", "!", DeclareSources}, {"8.8.8.8", "!", DeclareSources},
		{"10.0.0.250-10.0.1.5", "!", "!"}, {"0.0.0.1", "!", "!"},
		{"200.0.0.0-225.0.0.0", "!", "!"},
		{"255.255.255.255", "!", "!"}, {"0.0.0.0/0", "!", "!"},
		{"fe00::-ff02::1", "!", "!"},
	} {
		sources, err := ParseSources(c.list)
		if err != nil {
			t.Fatal(err)
		}
		to := []netip.Addr{netip.MustParseAddr("127.0.0.1")}
		for _, a := range []struct {
			aim  Aim
			want string
		}{
			{Aim{Targets: to, Sources: sources}, c.socket},
			{Aim{Targets: to, Sources: sources, OwnTarget: true, OwnSources: true},
				c.socket},
			{Aim{Targets: to, Sources: sources, Raw: true, OwnTarget: true}, c.frames},
			{Aim{Targets: to, Sources: sources, Raw: true, OwnTarget: true,
				OwnSources: true},
				strings.TrimPrefix(c.frames, DeclareSources)},
		} {
			if got := declaration(t, a.aim.Permit(table())); got != a.want {
				t.Errorf("%s, %+v: %q, want %q", c.list, a.aim, got, a.want)
			}
		}
	}
}

func TestPermitGateway(t *testing.T) {
	for hop, ok := range map[string]bool{
		"10.0.0.1": true, "10.0.0.255": false, "224.0.0.1": false, "0.0.0.0": false,
		"255.255.255.255": false, "10.0.0.5": false, "127.0.0.1": false,
	} {
		a := Aim{Targets: []netip.Addr{netip.MustParseAddr("8.8.8.8")}, Raw: true,
			OwnTarget: true,
			Gateway:   netip.MustParseAddr(hop)}
		if got := a.Permit(table()); (got == nil) != ok {
			t.Errorf("%s: %v", hop, got)
		}
		a.OwnTarget, a.Targets[0] = false, netip.MustParseAddr("10.0.0.5")
		if a.Permit(table()) == nil {
			t.Errorf("%s: frames to an own address by a gateway are permitted", hop)
		}
	}
}

func TestForeignSources(t *testing.T) {
	for list, want := range map[string]string{
		"127.0.0.1": "", "10.0.0.5-10.0.0.6": "",
		"10.0.0.4-10.0.0.8": "10.0.0.4 10.0.0.7-10.0.0.8", "10.0.0.1,10.0.0.5": "10.0.0.1",
		"126.255.255.255-128.0.0.1": "126.255.255.255 128.0.0.0-128.0.0.1",
		"198.51.100.7":              "",
	} {
		sources, err := ParseSources(list)
		if err != nil {
			t.Fatal(err)
		}
		var have []string
		for _, r := range (Aim{Sources: sources}).Foreign(table()) {
			have = append(have, r.String())
		}
		if strings.Join(have, " ") != want {
			t.Errorf("%s: %q, want %q", list, have, want)
		}
	}
}

func TestOneHost(t *testing.T) {
	own, a, b := [6]byte{2, 1}, [6]byte{2, 2}, [6]byte{2, 3}
	for _, c := range []struct {
		answers [][6]byte
		want    string
	}{
		{[][6]byte{a}, ""}, {[][6]byte{a, a, a}, ""}, {[][6]byte{a, b}, "two hosts"},
		{[][6]byte{a, a, own}, "two hosts"}, {[][6]byte{own}, "this device"},
		{[][6]byte{{}}, "not the hardware address"},
		{[][6]byte{{1, 0, 0x5e}}, "not the hardware"},
		{[][6]byte{{255, 255, 255, 255, 255, 255}}, "not the hardware address"},
	} {
		err := oneHost(c.answers, own)
		if (err == nil) != (c.want == "") ||
			err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: %v", c.answers, err)
		}
	}
}

// Whatever a range is, its foreign parts and nothing else are not of this host.
func FuzzForeignSources(f *testing.F) {
	f.Add("10.0.0.0-10.0.0.10")
	f.Add("198.51.99.250-198.51.100.3,127.0.0.1")
	f.Fuzz(func(t *testing.T, list string) {
		sources, err := ParseSources(list)
		if err != nil || Addresses(sources) > 4096 {
			return
		}
		foreign := (Aim{Sources: sources}).Foreign(table())
		for _, r := range sources {
			for i := range r.size() {
				a := r.at(i)
				in := slices.ContainsFunc(foreign, func(o Range) bool {
					return o.meets(Range{a, a})
				})
				own := isHere(a, slices.DeleteFunc(table(), func(row Address) bool {
					return row.Kind == Elsewhere
				}))
				if in == own {
					t.Errorf("%s: %s is own %v and foreign %v", list, a, own,
						in)
				}
			}
		}
	})
}
