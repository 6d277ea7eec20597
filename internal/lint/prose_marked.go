package lint

import (
	"regexp"
	"strings"
)

var (
	directiveOf = regexp.MustCompile(
		`^\s*\.\. (?:code-block|code|sourcecode|highlight)::\s*(\S*)`)
	listingOf = regexp.MustCompile(`^\[(?:source)?,?\s*([\w-]*)`)
	codeSpan  = regexp.MustCompile("``?([^`]+)``?")
)

// marked reads reStructuredText and AsciiDoc: what is indented behind :: or a directive, what is
// between lines of ----, and code in sentences.
func (p *parser) marked(all *rows) {
	language := ""
	for all.more() {
		line := all.next()
		t := strings.TrimSpace(line)
		p.goTo(all.n)
		if p.lines++; p.lines > mostLines {
			p.add(stray("", "", tooMany))
			all.rest = ""
			return
		}
		if len(line) > longestLine {
			p.add(stray("", "", tooLong))
			continue
		}
		switch m, s := directiveOf.FindStringSubmatch(line),
			listingOf.FindStringSubmatch(t); {
		case len(t) >= 4 && strings.Trim(t, "/") == "": // AsciiDoc
			p.tells(fenced(all, t))
		case strings.HasPrefix(t, "//") && p.format.name == "AsciiDoc":
		case m != nil:
			p.inLanguage(m[1], indented(all))
		case t == "----" || t == "....":
			p.inLanguage(language, fenced(all, t))
			language = ""
		case s != nil:
			language = s[1]
		case strings.HasSuffix(t, "::") && !strings.HasPrefix(t, ".."):
			p.spans(line, all.n)
			p.inLanguage("", indented(all))
		case strings.HasPrefix(t, "|"):
			var cells []word
			for cell := range strings.SplitSeq(strings.Trim(t, "|"), "|") {
				cells = append(cells, word{strings.Trim(trim(cell), "`"), all.n})
			}
			p.cells(cells, nil)
		case !p.spans(line, all.n) && !strings.HasPrefix(t, ".."):
			p.sentences(word{line, all.n})
		}
	}
}

// spans takes the code in a line; found says that it sets something.
func (p *parser) spans(line string, row int) (found bool) {
	first := len(p.settings)
	for _, m := range codeSpan.FindAllStringSubmatch(line, -1) {
		p.inline(word{m[1], row})
	}
	return len(p.settings) > first
}

// indented takes the lines that begin with blanks, and empty ones among them.
func indented(all *rows) word {
	return taken(all, func(line string) (mine, last bool) {
		mine = trim(line) == "" || strings.IndexByte(blank, line[0]) >= 0
		return mine, !mine
	})
}

// fenced takes the lines up to a mark, and the mark.
func fenced(all *rows, mark string) word {
	end := false
	return taken(all, func(line string) (mine, last bool) {
		last, end = end, trim(line) == mark
		return !end, last
	})
}

// taken takes lines up to the last, which stays.
func taken(all *rows, of func(line string) (mine, last bool)) word {
	row := all.n + 1
	var b strings.Builder
	for all.more() {
		was := *all
		line := all.next()
		mine, last := of(line)
		if last {
			*all = was
			break
		}
		if mine {
			b.WriteString(line + "\n")
		}
	}
	return word{b.String(), row}
}
