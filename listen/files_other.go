//go:build !linux

package listen

import "errors"

// RaiseFiles raises the limit of open files on Linux. Here it changes nothing and says
// errors.ErrUnsupported. The Go runtime raises the soft limit to the hard one by itself on
// Unix systems.
func RaiseFiles(n uint64) (Files, error) {
	return Files{}, &FilesError{Asked: n, Max: Unknown, Err: errors.ErrUnsupported}
}
