package without

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/limit"
)

// No verdict gets better by what is not known, of any recorded host and of any case of a limit.
func TestRecorded(t *testing.T) {
	for name, text := range recorded(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := host.Parse(text)
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range Complaints(s, limit.Workload{}) {
				t.Error(c)
			}
		})
	}
}

// recorded are all snapshots of the project, by name.
func recorded(t *testing.T) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	for _, pattern := range []string{"../../../testdata/hosts/*.txt",
		"../../../cmd/maxconn/testdata/hosts/*.txt", "../../*/testdata/*.txtar"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %d files, %v", pattern, len(files), err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			name := strings.TrimPrefix(file, "../../")
			if !strings.HasSuffix(file, ".txtar") {
				out[name] = text
				continue
			}
			for _, f := range txtar.Parse(text).Files {
				if strings.HasSuffix(f.Name, ".facts") {
					out[name+" "+f.Name] = []byte("maxconn.snapshot/1\n" +
						string(f.Data) + "end\n")
				}
			}
		}
	}
	return out
}
