//go:build linux

package netns

import (
	"os"
	"path/filepath"
	"testing"
)

// A handle stays with its namespace when the path leads to another one, and its path and its
// descriptor do too.
func TestHandleStays(t *testing.T) {
	first, second := throwAway(t), throwAway(t)
	link := filepath.Join(t.TempDir(), "ns")
	if err := os.Symlink(string(first), link); err != nil {
		t.Fatal(err)
	}
	h, err := Hold(Path(link))
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	if err := os.Remove(link); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(string(second), link); err != nil {
		t.Fatal(err)
	}
	want := mustID(t, first)
	heir, err := Inherit(h.File(), Path(link))
	if err != nil {
		t.Fatal(err)
	}
	for what, do := range map[string]func(func() error) error{
		"Do": h.Do, "Do by its path": func(fn func() error) error {
			return Do(
				h.Path(),
				fn,
			)
		}, "Do of an heir": heir.Do,
	} {
		var in ID
		if err := do(func() (err error) { in, err = Self(); return err }); err != nil ||
			in != want {
			t.Errorf("%s: in %v, %v, want %v", what, in, err, want)
		}
	}
	if h.ID() != want || h.Name() != Path(link) || h.Own() {
		t.Errorf("%v, %s", h.ID(), h.Name())
	}
	if _, err := Inherit(os.Stdin, ""); reason(err) != NotNamespace {
		t.Errorf("a file as a namespace: %v", err)
	}
	if _, err := Hold(Path(t.TempDir())); reason(err) != NotNamespace {
		t.Errorf("a directory as a namespace: %v", err)
	}
}

// A cookie is a namespace's alone, also when its inode number comes back.
func TestCookie(t *testing.T) {
	own, err := Cookie()
	if err != nil {
		t.Fatal(err)
	}
	if own == 0 {
		t.Skip("before Linux 5.14 there are none")
	}
	seen := map[uint64]bool{own: true}
	for range 5 {
		var cookie uint64
		err := Fresh(func() (err error) { cookie, err = Cookie(); return err })
		if err != nil {
			t.Skip(err)
		}
		if seen[cookie] || cookie == 0 {
			t.Errorf("cookie %d twice, or none", cookie)
		}
		seen[cookie] = true
	}
}

// What the kernel tells of a namespace that has ended, and of one that has not.
func TestEnded(t *testing.T) {
	var cookie, inode uint64
	look := func() error {
		id, err := Self()
		if err != nil {
			return err
		}
		inode = id.Inode
		cookie, err = Cookie()
		return err
	}
	if err := look(); err != nil {
		t.Fatal(err)
	}
	ended, known := Ended(cookie, inode)
	if !known {
		t.Skip("this kernel (before Linux 6.18), or this user, cannot tell")
	}
	if ended {
		t.Error("the own namespace has ended")
	}
	p := throwAway(t)
	if err := Do(p, look); err != nil {
		t.Fatal(err)
	}
	if ended, known := Ended(cookie, inode); ended || !known {
		t.Errorf("one that is there: ended %v, known %v", ended, known)
	}
	if err := Fresh(look); err != nil {
		t.Fatal(err)
	}
	// The thread that was in it ends a moment later.
	for n := 0; ; n++ {
		if ended, known := Ended(cookie, inode); ended && known {
			return
		}
		if n == 1_000_000 {
			t.Fatal("one that has ended is there still")
		}
	}
}
