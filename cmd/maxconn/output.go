package main

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/maxconn/maxconn/internal/linux/outfile"
)

// writeFile replaces a file by a whole one, or leaves it as it was. A new one is readable
// for its owner alone: it tells of this host.
func writeFile(name string, text []byte) error {
	return outputError("the output", "-o", outfile.Write(name, text, outfile.Private))
}

// writePage is writeFile for the page of --html.
func writePage(name string, text []byte) error {
	return outputError("the page", "--html", outfile.Write(name, text, outfile.Private))
}

// writable says before a long run whether what it makes can be written; no name, nothing to write.
func writable(what, flag, name string) error {
	if name == "" {
		return nil
	}
	return outputError(what, flag, outfile.Writable(name))
}

// outputError adds a status and a hint to the error of a file that could not be written.
func outputError(what, flag string, err error) error {
	if err == nil {
		return nil
	}
	f := &failure{statusFailed, fmt.Errorf("write %s: %w", what, err), ""}
	refused, ok := errors.AsType[*outfile.Refused](err)
	switch {
	case ok:
		f.hint = refused.Hint
	case errors.Is(err, fs.ErrNotExist):
		f.status, f.hint = statusUsage, flag+" takes a file in a directory that exists"
	case errors.Is(err, fs.ErrPermission):
		f.hint = flag + " takes a file that you may write"
	}
	return f
}
