package lint

import (
	"encoding/json"
	"regexp"
	"strings"
)

// instruction is one of a Dockerfile, with the lines that continue it.
var (
	instruction = regexp.MustCompile(`^\s*(?:(?i)(?:ONBUILD|HEALTHCHECK(?:\s+--\S+)*)\s+)?([A-Za-z]+)\s+`)
	buildFlag   = regexp.MustCompile(`^(?:--[a-z]+=\S+\s+)+`)
	heredocs    = regexp.MustCompile(`<<-?["']?([A-Za-z_]\w*)["']?`)
	hostImages  = regexp.MustCompile(`(?i)bootc|coreos|ublue|universal-blue|silverblue`)
)

// dockerfile reads what is run while an image is built, and what its container runs. An image that
// a host boots (bootc) is a host.
func (p *parser) dockerfile(all *rows) {
	build, run := world{scope: OfImage}, world{scope: OfContainer}
	p.role = shellRole
	for all.more() {
		line := all.next()
		if t := trim(line); t == "" || strings.HasPrefix(t, "#") {
			continue
		}
		w := continued(line, all)
		if len(w.text) > longestLine {
			p.goTo(w.row)
			p.add(stray("", "", tooLong))
			continue
		}
		m := instruction.FindStringSubmatch(w.text)
		if m == nil {
			continue
		}
		w.text = buildFlag.ReplaceAllString(w.text[len(m[0]):], "")
		switch strings.ToUpper(m[1]) {
		case "FROM":
			if build, run = (world{scope: OfImage}),
				(world{scope: OfContainer}); hostImages.MatchString(w.text) {
				build, run = world{}, world{}
			}
		case "RUN", "COPY", "ADD":
			p.within(build, func() { p.built(w, all, strings.EqualFold(m[1], "RUN")) })
		case "ENV":
			name, value, _ := strings.Cut(w.String(), " ")
			if !strings.Contains(name, "=") { // the old form
				w.text = name + "='" + value + "'"
			}
			p.within(run, func() { p.environment(w.String(), w.row) })
		case "LABEL":
			p.tells(w)
		case "CMD", "ENTRYPOINT":
			p.within(run, func() { p.started(w) })
		}
	}
}

// continued is a line with those that continue it; comments among them do not count.
func continued(line string, all *rows) word {
	row := all.n
	var b strings.Builder
	for {
		line = strings.TrimRight(line, blank)
		before, goesOn := strings.CutSuffix(line, `\`)
		if b.Len() <= longestLine {
			b.WriteString(before)
		}
		if !goesOn || !all.more() {
			return word{b.String(), row}
		}
		b.WriteString(folded)
		for line = all.next(); strings.HasPrefix(trim(line), "#") && all.more(); {
			b.WriteString(folded)
			line = all.next()
		}
	}
}

// built takes RUN, and the files that COPY and ADD have in heredocs.
func (p *parser) built(w word, all *rows, runs bool) {
	marks := heredocs.FindAllStringSubmatch(w.String(), -1)
	if runs && (len(marks) == 0 || !strings.HasPrefix(trim(w.text), "<<")) {
		if len(marks) > 0 {
			w.text += "\n"
			for _, m := range marks {
				w.text += fenced(all, m[1]).text + m[1] + "\n"
			}
		}
		p.started(w)
		return
	}
	words := strings.Fields(w.String())
	for _, m := range marks {
		text := fenced(all, m[1])
		if runs {
			p.readAs(shellText, text)
		} else {
			p.fileText(words[len(words)-1], text)
		}
	}
}

// started takes a command in the form of a list, or that of a shell.
func (p *parser) started(w word) {
	p.goTo(w.row)
	var list []string
	if err := json.Unmarshal([]byte(w.String()), &list); err == nil {
		var words []word
		for _, one := range list {
			words = append(words, word{one, w.row})
		}
		if words = unwrapped(words); len(words) > 0 {
			p.command(words, nil)
		}
		return
	}
	p.readAs(shellText, w)
}
