// Package encode turns text that maxconn did not write itself into text of an output language: a
// terminal, Markdown, HTML, JSON, SARIF, shell, YAML, Ansible, Nix, or a file of settings such as
// those of sysctl.d, systemd, udev and TuneD. Each language has one encoder, and its doc comment
// names the grammar that it follows. It is pure.
//
// Host names, kernel strings, names of processes, units, cgroups and devices, reasons, and
// everything that was read from a file may have been chosen by somebody else. Two things hold for
// every encoder: the result is one piece of data of its language, and it holds no character that a
// terminal or an editor obeys (control characters, marks that turn the writing direction, line
// separators, bytes that are no UTF-8).
//
// Languages in which a mistake executes or forges something have a type of their own (Markdown,
// Shell, YAML, Ansible, Nix, Conf). A Builder of that type takes constants of the source and
// encoded text; a plain string does not compile. The one way around it is a conversion such as
// Shell(s), which internal/archtest allows in named places only. HTML has no type here:
// html/template escapes by context, and HTML gives it text that is visible.
package encode

import "strings"

// Builder collects text of one output language.
type Builder[T ~string] struct{ b strings.Builder }

// Write appends constants and encoded text.
func (b *Builder[T]) Write(parts ...T) {
	for _, p := range parts {
		b.b.WriteString(string(p))
	}
}

// String is the text as the language has it, for who writes it out.
func (b *Builder[T]) String() string { return b.b.String() }

// Text is what was collected, as a part of a longer text.
func (b *Builder[T]) Text() T { return T(b.b.String()) }
