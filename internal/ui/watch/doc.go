// Package watch shows what package live knows on a full screen, writes it as lines of JSON, records
// surveys to a file and plays such a file again. Model and recordings are pure: surveys and keys go
// in, frames come out; Run puts them on a terminal.
package watch
