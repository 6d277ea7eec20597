package persist

import (
	"io/fs"
	"maps"
	"slices"
	"strings"

	"github.com/maxconn/maxconn/internal/knob"
	"github.com/maxconn/maxconn/internal/sysctld"
)

// tuned is the TuneD daemon: it sets what its active profile names, and after that, unless
// reapply_sysctl is off, what /run/sysctl.d, /etc/sysctl.d and, last, /etc/sysctl.conf say
// (see sysctld.Tuned). So with it /etc/sysctl.conf counts on a host whose systemd does not
// read it. Without an active profile it chooses one when it starts: see recommended.
func tuned(root fs.FS, reapplied []sysctld.Setting) []claimant {
	active := strings.Fields(text(root, "etc/tuned/active_profile"))
	if len(active) == 0 {
		return recommended(root, reapplied)
	}
	starts := enabled(root, "tuned.service")
	var entries []profileEntry
	for _, name := range active {
		entries = append(entries, profile(root, name, 0)...)
	}
	out := []claimant{func(key string) (Owner, bool) {
		return ofProfile(entries, key, starts)
	}}
	if again(root) {
		out = append(out, func(key string) (Owner, bool) {
			w := sysctld.Decide(sysctld.Tuned, reapplied, key)
			return Owner{Program: "tuned", File: w.File, Line: w.Line, Value: w.Value,
				Sure: starts,
				Why: "writes this file's value again after its profile " +
					"(reapply_sysctl)"}, w.Set
		})
	}
	return out
}

// again says whether files are applied again; the daemon's default is yes (tuned/consts.py
// CFG_DEF_REAPPLY_SYSCTL).
func again(root fs.FS) bool {
	return !off(variable(text(root, "etc/tuned/tuned-main.conf"), "reapply_sysctl"))
}

// off says whether a switch of tuned-main.conf is off.
func off(value string) bool {
	return slices.Contains([]string{"0", "no", "false", "off"}, strings.ToLower(value))
}

// profileEntry is a sysctl of a profile.
type profileEntry struct {
	file  string
	line  int
	key   string
	value string
}

const maxIncludes = 16

// profile reads a profile and those that it includes, which come first.
func profile(root fs.FS, name string, depth int) (out []profileEntry) {
	if depth > maxIncludes || strings.ContainsAny(name, "/$") {
		return nil
	}
	for _, dir := range []string{"etc/tuned/profiles", "etc/tuned", "usr/lib/tuned/profiles",
		"usr/lib/tuned"} {
		file := dir + "/" + name + "/tuned.conf"
		data := text(root, file)
		if data == "" {
			continue
		}
		entries := parseINI([]byte(data))
		for _, e := range entries {
			if e.section == "main" && e.key == "include" {
				for _, parent := range strings.FieldsFunc(e.value,
					func(r rune) bool {
						return r == ',' || r == ' ' || r == ';'
					}) {
					out = append(out,
						profile(root, strings.TrimPrefix(parent, "-"),
							depth+1)...)
				}
			}
		}
		return append(out, sysctlsOf(entries, file)...)
	}
	return nil
}

// sysctlsOf are the settings of [sysctl] and of sections with type=sysctl.
func sysctlsOf(entries []iniEntry, file string) (out []profileEntry) {
	kind := map[string]string{"sysctl": "sysctl"}
	for _, e := range entries {
		if e.key == "type" {
			kind[e.section] = e.value
		}
	}
	for _, e := range entries {
		if kind[e.section] == "sysctl" && strings.ContainsAny(e.key, "./") {
			out = append(out, profileEntry{"/" + file, e.line, knob.Key(e.key),
				e.value})
		}
	}
	return out
}

// ofProfile is the last entry of a key. "key=>N" only raises and "key=<N" only lowers;
// ${name} is worked out by the daemon, so that the value cannot be told and the owner is no
// sure one.
func ofProfile(entries []profileEntry, key string, starts bool) (o Owner, ok bool) {
	for _, e := range entries {
		if e.key != knob.Key(key) {
			continue
		}
		o = Owner{
			Program: "tuned",
			File:    e.file,
			Line:    e.line,
			Value:   strings.Trim(e.value, `"`),
			Sure:    starts,
			Why:     "sets it by its active profile",
		}
		if strings.ContainsAny(e.value, "${") {
			o.Value, o.Sure, o.Why = "", false,
				"sets it by its active profile to "+e.value
		}
		ok = true
	}
	return o, ok
}

// recommended is what TuneD may set on a host where no profile was ever chosen: an enabled
// daemon then takes the first profile whose rules fit the host (tuned/daemon/daemon.py
// _get_startup_profile), by virt-what, running processes and the like. The rules cannot be
// worked out from files, so each profile that they name is a possible owner and none a sure
// one. What is applied again from files after the profile has the later word.
func recommended(root fs.FS, reapplied []sysctld.Setting) (out []claimant) {
	if !enabled(root, "tuned.service") ||
		strings.TrimSpace(text(root, "etc/tuned/profile_mode")) == "manual" {
		return nil
	}
	again := again(root)
	var profiles [][]profileEntry
	for _, name := range candidates(root) {
		profiles = append(profiles, profile(root, name, 0))
	}
	for i := range profiles {
		out = append(out, func(key string) (Owner, bool) {
			if again && sysctld.Decide(sysctld.Tuned, reapplied, key).Set {
				return Owner{}, false
			}
			o, ok := ofCandidate(profiles[i], key)
			for _, earlier := range profiles[:i] {
				if same, is := ofCandidate(earlier, key); is && same == o {
					// both include the profile that sets it
					return Owner{}, false
				}
			}
			return o, ok
		})
	}
	if again {
		out = append(out, func(key string) (Owner, bool) {
			w := sysctld.Decide(sysctld.Tuned, reapplied, key)
			return Owner{Program: "tuned", File: w.File, Line: w.Line, Value: w.Value,
				Why: "writes this file's value again after the profile that it " +
					"chooses at boot (reapply_sysctl)"}, w.Set
		})
	}
	return out
}

func ofCandidate(entries []profileEntry, key string) (Owner, bool) {
	o, ok := ofProfile(entries, key, false)
	if o.Value != "" {
		o.Why = "sets it to " + o.Value +
			", if that is in the profile that the daemon chooses when it starts " +
			"(none was chosen)"
	}
	return o, ok
}

// candidates are the profiles that the rules name, in the order in which they are tried,
// and the one for where none fits (tuned/utils/profile_recommender.py recommend,
// process_config).
func candidates(root fs.FS) (out []string) {
	const fallback = "balanced"
	if off(variable(text(root, "etc/tuned/tuned-main.conf"), "recommend_command")) {
		return []string{fallback}
	}
	files := map[string]string{}
	for _, dir := range []string{"usr/lib/tuned/recommend.d", "etc/tuned/recommend.d"} {
		for _, name := range names(root, dir) {
			files[name] = dir + "/" + name
		}
	}
	rules := []string{"etc/tuned/recommend.conf"}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		rules = append(rules, files[name])
	}
	for _, file := range rules {
		for line := range strings.Lines(text(root, file)) {
			if name, ok := section(line); ok && !slices.Contains(out, name) {
				out = append(out, name)
			}
		}
	}
	if !slices.Contains(out, fallback) {
		out = append(out, fallback)
	}
	return out
}

// section is the profile of a line "[balanced,2]": what follows the last comma only tells
// rules apart.
func section(line string) (name string, ok bool) {
	line, _, _ = strings.Cut(strings.TrimSpace(line), "#")
	name, ok = strings.CutPrefix(strings.TrimSpace(line), "[")
	name, closed := strings.CutSuffix(name, "]")
	if i := strings.LastIndexByte(name, ','); i >= 0 {
		name = name[:i]
	}
	return strings.TrimSpace(name), ok && closed && name != ""
}
