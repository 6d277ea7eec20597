//go:build !unix

package infile

import "os"

// patient opens a file; there are no pipes or terminals to be found by a name.
const patient = os.O_RDONLY

// duplicate opens a file by its name: there are no descriptors to make a copy of.
func duplicate(_ int, name string) (*os.File, error) { return os.Open(name) }
