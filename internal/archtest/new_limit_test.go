package archtest

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A new limit is three files by hand: the limit, its cases, its claim. In a copy of the
// tree with those of testdata/limit, -update and go generate make the rest, and the tests
// that follow from the catalogue pass.
func TestALimitIsThreeFiles(t *testing.T) {
	if !strings.Contains(os.Getenv("MAXCONN_REQUIRE"), "slow") {
		t.Skip("builds and tests a copy of the tree, 40 s of CPU: asked for with " +
			"MAXCONN_REQUIRE=slow")
	}
	top := copied(t)
	for from, to := range map[string]string{
		"stand_in.go.txt": "internal/limit/stand_in.go",
		"stand_in.txtar":  "internal/limit/testdata/stand_in.txtar",
		"claim.go.txt":    "internal/prove/stand_in.go",
	} {
		text, err := os.ReadFile(filepath.Join("testdata", "limit", from))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(top, to), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, line := range []string{
		"go test ./internal/limit -run TestCatalogue -update",
		"go generate ./cmd/maxconn",
		"go test -short ./internal/limit ./internal/diagnose ./internal/knob " +
			"./internal/render",
		"go test -short ./internal/prove -run TestEveryLimitHasAClaim|TestClaimsAreWhole",
		"go test -short ./internal/archtest -run Limit",
		"go test -short ./cmd/maxconn -run " +
			"TestRecordedHosts|TestScripts/(plan|explain|check_goals)",
	} {
		words := strings.Fields(line)
		c := exec.CommandContext(t.Context(), words[0], words[1:]...)
		c.Dir = top
		c.Env = append(os.Environ(), "MAXCONN_REQUIRE=") // or the copy would make a copy
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", line, err, out)
		}
	}
}

// copied is the tree in a directory of its own.
func copied(t *testing.T) string {
	t.Helper()
	from, to := root(t), t.TempDir()
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		switch {
		case d.Name() == ".git":
			if d.IsDir() {
				return filepath.SkipDir
			}
			return nil
		case d.IsDir():
			return os.MkdirAll(filepath.Join(to, rel), 0o755)
		case !d.Type().IsRegular():
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, rel), text, 0o644)
	})
	if err != nil {
		t.Fatal(err)
	}
	return to
}
