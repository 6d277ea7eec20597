package render

import (
	"io"

	"github.com/maxconn/maxconn/internal/load"
)

// LoadJSON writes what a load reached in its stable form.
func LoadJSON(w io.Writer, r *load.Report) error { return writeJSON(w, *r) }
