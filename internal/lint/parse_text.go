package lint

import (
	"regexp"
	"slices"
	"strings"
)

// printf prints its format with the arguments put in, again and again until none is left, as
// printf(1) does.
func (p *parser) printf(args []word, targets []string) {
	if len(args) == 0 {
		return
	}
	format, rest := args[0], args[1:]
	var out printout
	for range mostPrinted {
		text, used := filled(format.text, rest)
		row := format.row
		if used > 0 {
			row = rest[0].row
		}
		out.add(word{unescapes.Replace(text), row})
		if rest = rest[used:]; used == 0 || len(rest) == 0 {
			break
		}
	}
	p.printed(out.word(), targets)
}

// mostPrinted bounds how often a format is used.
const mostPrinted = 100

// filled is a format with arguments for its %s, %d and %b, and how many of them it took.
func filled(format string, args []word) (text string, used int) {
	text = directive.ReplaceAllStringFunc(format, func(d string) string {
		if d == "%%" {
			return "%"
		}
		if used == len(args) {
			return ""
		}
		used++
		return args[used-1].String()
	})
	return text, used
}

var directive = regexp.MustCompile(`%[-0-9]*[sdbiq]|%%`)

var unescapes = strings.NewReplacer(`\n`, "\n"+written, `\t`, "\t", `\r`, "\r", `\\`, `\`)

var (
	substitute = regexp.MustCompile(`(?:^|[;{ ]|/I?)s([/|#,@:!%~^{])`)
	appended   = regexp.MustCompile(`^(?:\$|[0-9]+|/[^/]*/)?\s*[aic]\s*\\?\s*`)
)

// sed takes what sed -i writes into a file: s/old/new/, $a text. What is made of the old line
// (\1, &) is not known.
func (p *parser) sed(args []word) {
	target := ""
	if last := len(args) - 1; last > 0 && (strings.Contains(args[last].text, "/etc/") ||
		formatNamed(args[last].String()) != nil) {
		target, args = args[last].String(), args[:last]
	}
	for _, a := range args {
		text := ""
		if substitute.MatchString(a.text) {
			text = substituted(a.text)
		} else if loc := appended.FindStringIndex(a.text); loc != nil &&
			loc[1] < len(a.text) {
			text = a.text[loc[1]:]
		}

		for row, line := range (word{unescapes.Replace(text), a.row}).lines() {
			p.row = row
			p.edited(target, trim(line))
		}
	}
}

// substituted is what the substitutions of a program put in, a line each. Groups of the old line
// that are plain text but for blanks are put in; one with more of it is not known.
func substituted(program string) string {
	var out []string
	for range mostPrinted {
		at := substitute.FindStringSubmatchIndex(program)
		if at == nil {
			break
		}
		mark := program[at[2]:at[3]]
		old, rest, _ := cutUnescaped(program[at[3]:],
			strings.ReplaceAll(mark, "{", "}"))
		if mark == "{" {
			rest, mark = strings.TrimPrefix(trim(rest), "{"), "}"
		}
		text, rest, _ := cutUnescaped(rest, mark)
		known := !strings.Contains(text, "&")
		text = regexpGroup.ReplaceAllStringFunc(text, func(use string) string {
			group, ok := plainGroup(old, int(strings.Trim(use, `\${}`)[0]-'0'))
			known = known && ok
			return group
		})
		if known {
			out = append(out, text)
		}
		program = rest
	}
	return strings.Join(out, "\n"+written)
}

// cutUnescaped cuts at a mark that no backslash stands before, and takes the others' backslashes.
func cutUnescaped(text, mark string) (before, after string, ok bool) {
	before, after, ok = strings.Cut(strings.ReplaceAll(text, `\`+mark, "\x01"), mark)
	before = strings.ReplaceAll(before, "\x01", mark)
	return before, strings.ReplaceAll(after, "\x01", mark), ok
}

var (
	regexpGroup = regexp.MustCompile(`\\[1-9]|\$[1-9]|\$\{[1-9]\}`)
	groupOpens  = regexp.MustCompile(`\\?\(`)
	notLiteral  = regexp.MustCompile(`\\s[*+?]*|\[(?:\^?[ \\ts]*|\[:(?:space|blank):\])\][*+?]*|` +
		`[ \t][*+?]+|[\^$]`)
)

// plainGroup is the text that a group of a pattern matches, where that is the same always but for
// blanks.
func plainGroup(pattern string, n int) (string, bool) {
	opens := groupOpens.FindAllStringIndex(pattern, mostPrinted)
	if n < 1 || n > len(opens) {
		return "", false
	}
	mark := strings.ReplaceAll(pattern[opens[n-1][0]:opens[n-1][1]], "(", ")")
	text, _, ok := strings.Cut(pattern[opens[n-1][1]:], mark)
	text = strings.ReplaceAll(notLiteral.ReplaceAllString(text, " "), `\.`, ".")
	return text, ok && !strings.ContainsAny(text, `*+?[]()\|`)
}

// edited is a line that an editor puts into a file; what sets nothing is some other text.
func (p *parser) edited(target, line string) {
	name, _, ok := strings.Cut(line, "=")
	f := anything
	if target != "" {
		f = formatOf(target, "")
	}
	if f.by == byNginx && !strings.ContainsAny(line, ";{") {
		line += ";" // which stands in the file
	}
	if f.by == byNginx || f.by == byHAProxy || f.by == byWords {
		p.into(target, func() { p.readAs(f, word{line, p.row}) })
		return
	}
	p.into(target, func() {
		switch {
		case p.limitsLine(line) || p.unitItem(line):
		case ok && looksLikeKey(trim(strings.TrimPrefix(name, "-"))):
			p.assignment(line)
		}
	})
}

// variableName is what stands in front of the index of a table.
var variableName = regexp.MustCompile(`^\w*$`)

// mostLooped bounds how many settings loops make of a file.
const mostLooped = 1000

// loop remembers what a loop puts into a variable: for k in net.core.somaxconn net.core.rmem_max.
func (p *parser) loop(name string, items []string) {
	if p.loops == nil {
		p.loops = map[string][]string{}
	}
	known := slices.DeleteFunc(items, func(s string) bool {
		return strings.ContainsAny(s,
			"$`*")
	})
	p.loops[name] = known[:min(len(known), mostPrinted)]
}

// expanded is a word, or it with each of the items that a loop puts in place of its variable.
func (p *parser) expanded(text string) (all []string) {
	if !strings.Contains(text, "$") {
		return []string{text}
	}
	for _, used := range variableUse.FindAllStringSubmatch(text, mostPrinted) {
		name := used[1] + used[2]
		with := p.loops[name]
		if len(with) == 0 || p.looped+len(with) > mostLooped {
			continue
		}
		p.looped += len(with)
		for _, item := range with {
			all = append(all, strings.NewReplacer("${"+name+"}", item, "$"+name, item).
				Replace(text))
		}
		return all
	}
	return []string{text}
}

// variableUse is where a shell puts in a variable: $name or ${name}.
var variableUse = regexp.MustCompile(`\$(?:(\w+)|\{(\w+)\})`)

// elements takes the words of a table of a shell: [net.core.somaxconn]=1024 [net.core.rmem_max]=30.
func (p *parser) elements(words []word) (found bool) {
	for _, w := range words {
		p.row = w.row
		name, value, ok := strings.Cut(w.String(), "]=")
		if at := strings.IndexByte(name, '['); ok && at >= 0 && variableName.MatchString(
			name[:at]) {
			found = p.element(name[at:]+"]", value) || found
		}
	}
	return found
}

// bareWord is a scalar without the marks around it.
func bareWord(s string) string { return strings.Trim(trim(s), "\"'`,;{} \t") }

func firstWord(s string) string {
	if i := strings.IndexAny(s, " \t,\"'"); i >= 0 {
		return s[:i]
	}
	return s
}
