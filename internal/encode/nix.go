package encode

import "strings"

// Nix is text of the Nix language.
type Nix string

// NixString is a string in double quotes (Nix reference manual, "String literal"): the backslash,
// the quote and "${" are escaped. The language has no escapes for other characters, so what is not
// visible is made so.
func NixString(s string) Nix {
	return Nix(`"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "$", `\$`).Replace(Visible(s)) +
		`"`)
}
