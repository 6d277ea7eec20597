//go:build linux

package bpf

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// What is compiled in is what Debian's clang makes of the sources.
func TestObjectsAreOfTheSources(t *testing.T) {
	if _, err := exec.LookPath("clang-14"); err != nil {
		if strings.Contains(os.Getenv("MAXCONN_REQUIRE"), "clang") {
			t.Fatal(err)
		}
		t.Skip("no clang-14 to compile with: ", err)
	}
	dir := t.TempDir()
	out, err := exec.Command("../../../scripts/bpf.sh", dir).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	made, err := filepath.Glob(dir + "/*.o")
	committed, _ := filepath.Glob("src/*.o")
	if err != nil || len(made) == 0 || len(made) != len(committed) {
		t.Fatalf("%d objects of %d sources: %v", len(committed), len(made), err)
	}
	for _, path := range made {
		name := filepath.Base(path)
		want, err1 := os.ReadFile(path)
		have, err2 := objects.ReadFile("src/" + name)
		if err1 != nil || err2 != nil || !bytes.Equal(have, want) {
			t.Errorf("%s is stale: scripts/bpf.sh (%v, %v)", name, err1, err2)
		}
	}
}
