package render

import "github.com/maxconn/maxconn/internal/encode"

// Clean makes a text fit for a terminal's line.
func Clean(s string) string { return encode.Visible(s) }
