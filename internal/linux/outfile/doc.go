// Package outfile writes the files that a user names, where others may write too: it
// follows no link that somebody else could have planted, and replaces a file by a whole one
// or leaves it as it was.
//
// The kernel protects those who let it walk a path (fs.protected_symlinks, fs/namei.c
// may_follow_link), but it may be told not to, and it does not protect programs that
// resolve links themselves. So the path is walked here, a component at a time, and only
// links of root and of the user who runs the program are followed. The directory is then
// held open and everything happens in it, as with os.Root. That one is not used here
// because it needs the right to list a directory, and follows any link below it.
package outfile

import "io/fs"

// Private is the mode of a new file that tells of this host: its addresses, processes and
// units are nobody else's business. The umask may take more away.
const Private fs.FileMode = 0o600

// Public is the mode, before the umask, of a new file that holds nothing of this host, such
// as a manual page.
const Public fs.FileMode = 0o666

// Refused is a file that is not written because it is not what it should be, or could be
// somebody else's.
type Refused struct {
	Name string
	Why  string // "is a symbolic link"
	Hint string // what to do instead
}

func (r *Refused) Error() string { return r.Name + " " + r.Why }
