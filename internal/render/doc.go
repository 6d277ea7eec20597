// Package render puts results into words: for a terminal, as JSON, as Markdown. It is pure:
// results go in, text comes out through an io.Writer, and the caller says how wide and
// whether in colour.
//
// Figures carry a mark that says how they were got: a plain figure was read from the
// kernel, "=" stands before one that was computed by a formula that explain shows, "<="
// before a computed one that may be lower in truth because something could not be seen, "~"
// before one that an experiment measured.
//
// Names of processes and lines of files come from others. Every text passes Clean (or the
// JSON encoder with further escapes) before it is written, so that no control character in
// a name reaches a terminal.
package render
