package host

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
)

// Redact is a copy that hides addresses and names, each always by the same stand-in, so that the verdict
// stays as it was but for those words. Loopback and unspecified addresses, ports, numbers, sysctls and the
// device "lo" stay: they say nothing about whose host it is.
func Redact(s Snapshot) Snapshot {
	x := &redactor{addresses: map[netip.Addr]netip.Addr{}, names: map[string]string{}}
	var c Snapshot
	for _, f := range s.Facts() {
		r := s.readings[f]
		r.Err = x.addressesIn(r.Err)
		if r.Err == "" {
			r.Text = x.text(f, r.Text)
		}
		c.put(Fact{f.Kind, x.name(f)}, r)
	}
	return c
}

// redactor remembers the stand-ins that it has given.
type redactor struct {
	addresses map[netip.Addr]netip.Addr
	names     map[string]string
	v4, v6    uint32
}

// nameFields are the row fields that hold names of people's making, with the word for their stand-in.
var nameFields = map[string]string{
	"process": "process", "name": "process", "unit": "unit", "cgroup": "cgroup", "link": "link",
}

func (x *redactor) name(f Fact) string {
	name, kind := f.Name, f.Kind
	switch kind {
	case MovedKind:
		kindName, rest, _ := strings.Cut(name, "/")
		return kindName + "/" + x.name(Fact{Kind(kindName), rest})
	case LinkKind:
		return x.path("link", name)
	case QdiscKind:
		link, handle, _ := strings.Cut(name, "/")
		return x.standIn("link", link) + "/" + handle
	case CgroupKind:
		return x.path("cgroup", name)
	case ListenerKind, InboundKind, OutboundKind, SourceKind, AddressKind:
		return x.addressesIn(name)
	}
	return name
}

func (x *redactor) text(f Fact, text string) string {
	switch {
	case f == System("name"):
		return x.standIn("host", text)
	case f == System("netns-name"):
		return x.standIn("netns", text)
	case !f.Kind.IsTable():
		return text
	}
	fields := parseFields(text)
	for i, field := range fields {
		if word, ok := nameFields[field.Name]; ok {
			fields[i].Value = x.path(word, field.Value)
		}
	}
	return fields.String()
}

// path keeps the shape of a path and hides its parts; a plain name is a path of one part.
func (x *redactor) path(word, p string) string {
	parts := strings.Split(p, "/")
	for i := range parts {
		parts[i] = x.standIn(word, parts[i])
	}
	return strings.Join(parts, "/")
}

// kept are names that every host has.
var kept = []string{"", "*", "lo", "..", "rx_dropped", "tx_dropped"}

func (x *redactor) standIn(word, name string) string {
	if slices.Contains(kept, name) || slices.ContainsFunc(monotonic[CgroupKind], func(f string) bool { return f == name }) {
		return name
	}
	key := word + " " + name
	if _, ok := x.names[key]; !ok {
		x.names[key] = fmt.Sprintf("%s-%d", word, len(x.names)+1)
	}
	return x.names[key]
}

// anAddress matches what may be an IP address, bracketed or bare.
var anAddress = regexp.MustCompile(`[0-9A-Fa-f:.]*[0-9A-Fa-f]?[:.][0-9A-Fa-f:.]*`)

// addressesIn replaces every IP address in the text; ports behind IPv4
// addresses and brackets around IPv6 addresses stay.
func (x *redactor) addressesIn(text string) string {
	return anAddress.ReplaceAllStringFunc(text, func(word string) string {
		if a, err := netip.ParseAddr(word); err == nil {
			return x.address(a).String()
		}
		if a, err := netip.ParseAddrPort(word); err == nil {
			return netip.AddrPortFrom(x.address(a.Addr()), a.Port()).String()
		}
		return word
	})
}

// address is the stand-in: 240.0.0.0/4 and 2001:db8::/32 belong to nobody.
func (x *redactor) address(a netip.Addr) netip.Addr {
	if a.IsLoopback() || a.IsUnspecified() {
		return a
	}
	if _, ok := x.addresses[a]; !ok {
		if a.Is4() {
			x.v4++
			x.addresses[a] = netip.AddrFrom4([4]byte{240, byte(x.v4 >> 16), byte(x.v4 >> 8), byte(x.v4)})
		} else {
			x.v6++
			b := [16]byte{0x20, 0x01, 0x0d, 0xb8, 12: byte(x.v6 >> 24), 13: byte(x.v6 >> 16), 14: byte(x.v6 >> 8), 15: byte(x.v6)}
			x.addresses[a] = netip.AddrFrom16(b)
		}
	}
	return x.addresses[a]
}
