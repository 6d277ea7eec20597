package encode

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// YAML is text of a YAML 1.1 or 1.2 document that nothing templates: cloud-init's user data,
// Kubernetes.
type YAML string

// YAMLString is a double-quoted scalar (YAML 1.2.2, 7.3.1), in which nothing but the backslash and
// the quote means anything. Characters that are not visible are escapes (5.7), so the value is what
// it was; bytes that are no UTF-8 become U+FFFD.
func YAMLString(s string) YAML {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '\\' || r == '"':
			b.WriteByte('\\')
			b.WriteRune(r)
		case strconv.IsPrint(r):
			b.WriteRune(r)
		case r < 0x100:
			fmt.Fprintf(&b, `\x%02X`, r)
		case r < 0x10000:
			fmt.Fprintf(&b, `\u%04X`, r)
		default:
			fmt.Fprintf(&b, `\U%08X`, r)
		}
	}
	b.WriteByte('"')
	return YAML(b.String())
}

// YAMLText is a text of several lines as a literal block scalar (8.1.2), each line behind the
// indent. Where a literal would not be the same text (it is not visible, begins with white space,
// or does not end in one newline), it is a double-quoted scalar.
func YAMLText(indent YAML, text string) YAML {
	if !isLiteral(text) {
		return YAMLString(text)
	}
	var b strings.Builder
	b.WriteString("|\n")
	for line := range strings.Lines(text) {
		if line != "\n" {
			b.WriteString(string(indent))
		}
		b.WriteString(line)
	}
	return YAML(strings.TrimSuffix(b.String(), "\n"))
}

// isLiteral says whether a literal block scalar is the same text. YAML takes the indentation from
// the first line, so that one has none of its own.
func isLiteral(text string) bool {
	body, ended := strings.CutSuffix(text, "\n")
	if !ended || body == "" || strings.ContainsAny(body[:1], " \t\n") ||
		strings.HasSuffix(body, "\n") {
		return false
	}
	return IsVisible(strings.ReplaceAll(body, "\n", "")) &&
		!strings.ContainsRune(body, utf8.RuneError)
}

// Ansible is text of a playbook: YAML whose strings Ansible hands to Jinja, inside quotes and
// blocks too.
type Ansible string

// AnsibleString is a scalar that Ansible does not template: the tag !unsafe marks it (Ansible
// documentation, "Unsafe or raw strings").
func AnsibleString(s string) Ansible { return Ansible("!unsafe " + YAMLString(s)) }

// AnsibleText is AnsibleString for a text of several lines.
func AnsibleText(indent Ansible, text string) Ansible {
	return Ansible("!unsafe " + YAMLText(YAML(indent), text))
}

// Nix is text of the Nix language.
type Nix string

// NixString is a string in double quotes (Nix reference manual, "String literal"): the backslash,
// the quote and "${" are escaped. The language has no escapes for other characters, so what is not
// visible is made so.
func NixString(s string) Nix {
	return Nix(`"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "$", `\$`).Replace(Visible(s)) +
		`"`)
}

// Shell is text of a POSIX shell script (POSIX.1-2024, Shell Command Language).
type Shell string

// ShellWord is one word that the shell takes as it is: in single quotes, where no character is
// special but the quote itself (2.2.2). Text that is not visible is made so: no plan has a reason
// to hand it to a command.
func ShellWord(s string) Shell {
	return Shell("'" + strings.ReplaceAll(Visible(s), "'", `'\''`) + "'")
}

// plainWord are the characters that mean nothing to a shell anywhere in a word that does not begin
// with "~" or "=".
const plainWord = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+:,./@%"

// CommandWord is one word of a command that a person is told to type: quoted only where it has to
// be.
func CommandWord(s string) string {
	if s != "" && strings.Trim(s, plainWord) == "" {
		return s
	}
	return string(ShellWord(s))
}
