package encode

import "strings"

// Conf is text of a file of settings, a line each, with "#" before comments: sysctl.d(5),
// modules-load.d(5), modprobe.d(5), systemd.unit(5), systemd.link(5), udev(7), tuned.conf.
type Conf string

// Plain is text whose characters mean nothing in any output language: letters, digits, single
// spaces, and . _ - + : @ / , The files of settings have no quotes that all of their readers know,
// so nothing else can stand in them; it becomes "_". Who writes such a file asks first whether a
// name or a value is plain.
func Plain[T ~string](s string) T {
	s = strings.Map(func(r rune) rune {
		if special(r) {
			return '_'
		}
		return r
	}, s)
	return T(strings.Join(strings.Fields(s), " "))
}

// IsPlain says whether Plain leaves a text as it is.
func IsPlain(s string) bool {
	return !strings.ContainsFunc(s, special) && strings.Join(strings.Fields(s), " ") == s
}

func special(r rune) bool {
	return !(r < 0x80 && alphanumeric(byte(r)) || strings.ContainsRune(" ._-+:@/,", r))
}

// Only says whether a text is of letters, digits and these marks.
func Only(s, marks string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool {
		return !(r < 0x80 && alphanumeric(byte(r)) || strings.ContainsRune(marks, r))
	})
}

// commentWidth is where comments are wrapped.
const commentWidth = 110

// Comment writes each text as lines of a comment behind a mark such as "#", wrapped at a width that
// reads well. Nothing in a text ends its line, and no line ends in a backslash, which some readers
// take for "goes on" even in a comment (libkmod-util.c freadline_wrapped).
func Comment[T ~string](mark T, texts ...string) T {
	var b strings.Builder
	for _, text := range texts {
		line := string(mark)
		for _, word := range words(text) {
			if line != string(mark) && len(line)+1+len(word) > commentWidth {
				b.WriteString(ended(line))
				line = string(mark)
			}
			line += " " + word
		}
		if line != string(mark) {
			b.WriteString(ended(line))
		}
	}
	return T(b.String())
}

// words are the words of a text; white space of any kind parts them.
func words(text string) []string {
	text = strings.Map(func(r rune) rune {
		if r == '\n' || r == '\r' || r == '\t' {
			return ' '
		}
		return r
	}, text)
	return strings.FieldsFunc(Visible(text), func(r rune) bool { return r == ' ' })
}

func ended(line string) string {
	if strings.HasSuffix(line, `\`) {
		line += " ."
	}
	return line + "\n"
}
