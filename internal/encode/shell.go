package encode

import "strings"

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
