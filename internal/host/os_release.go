package host

import (
	"errors"
	"regexp"
	"strings"
)

var errNoID = errors.New("os-release does not say which distribution it is of")

// ParseOSRelease reads os-release(5): "debian 12", or "arch" of a distribution without versions.
func ParseOSRelease(text string) (string, error) {
	id := osValue(text, "ID")
	if !osID.MatchString(id) {
		return "", errNoID
	}
	if version := osValue(text, "VERSION_ID"); osVersion.MatchString(version) {
		id += " " + version
	}
	return id, nil
}

// What os-release(5) allows in the two values, at a length that is one.
var (
	osID      = regexp.MustCompile(`^[0-9a-z._-]{1,64}$`)
	osVersion = regexp.MustCompile(`^[0-9a-zA-Z._-]{1,64}$`)
)

// osValue is the last assignment to a name, without its quotes.
func osValue(text, name string) (value string) {
	for line := range strings.Lines(text) {
		if v, ok := strings.CutPrefix(strings.TrimSpace(line), name+"="); ok {
			value = v
		}
	}
	for _, quote := range []string{`"`, "'"} {
		if inner, ok := strings.CutPrefix(value, quote); ok {
			if inner, ok = strings.CutSuffix(inner, quote); ok {
				return inner
			}
		}
	}
	return value
}

// osNames are the IDs of os-release whose kernels are another distribution's, or that are called
// otherwise here.
var osNames = map[string]string{"rhel": "el", "centos": "el", "rocky": "el", "almalinux": "el",
	"ol": "el", "opensuse-leap": "sles", "amzn": "amazon"}

// On is the release as that of a kernel of a system with this os-release, in the words of the fact
// "system os". It tells of kernels that are packaged as the distribution packages its own (a number
// follows those of the version) under a name that is not in the table: "5.15.0-73-fips". A
// container's os-release is another's, and then the series is, too.
func (r Release) On(os string) Release {
	id, version, _ := strings.Cut(os, " ")
	name := id
	if other, ok := osNames[id]; ok {
		name = other
	}
	if name == "el" || name == "sles" {
		version, _, _ = strings.Cut(version, ".")
	}
	r.system = Distribution{name, version}
	return r
}

// packaged is what follows the numbers of a release that a distribution counts.
var packaged = regexp.MustCompile(`^-[0-9]`)

// ofSystem is the row of the table for the system's own kernel, nil where the release is none.
func (r Release) ofSystem() *distribution {
	if !packaged.MatchString(r.tail) || strings.Contains(r.tail, ".el") {
		return nil
	}
	for i, d := range distributions {
		if d.Distribution == r.system && d.series == r.Series() {
			return &distributions[i]
		}
	}
	return nil
}
