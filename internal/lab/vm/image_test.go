//go:build linux

package vm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
)

// list reads an archive back: a line for each entry, mode and name, and what a file or link
// holds. The fields are those of
// Documentation/driver-api/early-userspace/buffer-format.rst.
func list(t *testing.T, archive []byte) []string {
	t.Helper()
	var entries []string
	align := func(n int) int { return (n + 3) &^ 3 }
	for at := 0; ; {
		if at%4 != 0 || len(archive) < at+headerSize ||
			string(archive[at:at+6]) != "070701" {
			t.Fatalf("no header at %d of %d", at, len(archive))
		}
		field := func(i int) int {
			v, err := strconv.ParseUint(string(archive[at+6+8*i:at+14+8*i]), 16, 32)
			if err != nil {
				t.Fatal(err)
			}
			return int(v)
		}
		mode, size, major, minor, nameSize := field(1), field(6), field(9), field(10),
			field(11)
		name := string(archive[at+headerSize : at+headerSize+nameSize-1])
		body := align(at + headerSize + nameSize)
		if name == "TRAILER!!!" {
			return entries
		}
		entries = append(entries, fmt.Sprintf("%06o %d:%d %s %s", mode, major, minor, name,
			archive[body:body+size]))
		at = align(body + size)
	}
}

func TestTree(t *testing.T) {
	var archive bytes.Buffer
	err := writeTree(&archive, map[string][]byte{
		"/etc/sysctl.d/10-a.conf": []byte("a = 1\n"),
		"/etc/sysctl.d/20-b.conf": nil,
		"/lib/x/y.so":             []byte("\x7fELF..."),
		"/bin/script":             []byte("#!/bin/sh"),
	})
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Join(list(t, archive.Bytes()), "\n") + "\n"
	for _, want := range []string{
		"020600 5:1 dev/console \n", "020600 1:3 dev/null \n", "041777 0:0 tmp \n",
		"040755 0:0 proc \n",
		"120777 0:0 bin usr/bin\n", "100755 0:0 bin/script #!/bin/sh\n",
		"040755 0:0 etc/sysctl.d \n100644 0:0 etc/sysctl.d/10-a.conf a = 1\n\n100644 " +
			"0:0 etc/sysctl.d/20-b.conf \n",
		"040755 0:0 lib/x \n100755 0:0 lib/x/y.so \x7fELF...\n",
	} {
		if strings.Count(text, want) != 1 {
			t.Errorf("not once %q in\n%s", want, text)
		}
	}
}

// failing takes that many bytes and then no more.
type failing int

func (f *failing) Write(b []byte) (int, error) {
	if *f -= failing(len(b)); *f < 0 {
		return 0, errors.New("disk full")
	}
	return len(b), nil
}

func TestTreeOnAFullDisk(t *testing.T) {
	f := failing(5000)
	if err := writeTree(&f, map[string][]byte{"/etc/large": make([]byte, 10000)}); err == nil {
		t.Error("no error")
	}
}

func TestFilesOutOfPlace(t *testing.T) {
	for _, name := range []string{"relative", "/", "", "/proc/x", "/etc/../sys/x", "/init",
		"/vm/job.json", "/dev/null"} {
		spec := Spec{Files: map[string][]byte{name: nil}}
		if err := writeImage(context.Background(), &bytes.Buffer{}, spec); err == nil ||
			!strings.Contains(err.Error(), "file ") {
			t.Errorf("%q: %v", name, err)
		}
	}
}
