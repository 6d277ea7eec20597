package render

import (
	"io"

	"github.com/maxconn/maxconn/internal/load/result"
)

// LoadJSON writes what a load reached in its stable form.
func LoadJSON(w io.Writer, r *result.Report) error { return writeJSON(w, *r) }
