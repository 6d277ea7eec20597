package persist

import (
	"io/fs"
	"maps"
	"slices"
	"strings"

	"github.com/maxconn/maxconn/internal/sysctld"
)

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
