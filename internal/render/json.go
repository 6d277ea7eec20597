package render

import (
	"bytes"
	"encoding/json"
	"io"
	"reflect"
	"unicode/utf16"
	"unicode/utf8"
)

// writeJSON is indented, does not escape for HTML, has [] in place of null, and escapes whatever a
// terminal might obey.
func writeJSON(w io.Writer, v any) error {
	whole := reflect.New(reflect.TypeOf(v)).Elem()
	whole.Set(reflect.ValueOf(v))
	fillArrays(whole)
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(whole.Interface()); err != nil {
		return err
	}
	_, err := w.Write(escapeUnfit(b.Bytes()))
	return err
}

// fillArrays makes every nil slice below an addressable value an empty one. Slices are copied before
// their elements change: the caller keeps its own.
func fillArrays(v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				fillArrays(v.Field(i))
			}
		}
	case reflect.Slice:
		c := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
		reflect.Copy(c, v)
		for i := range c.Len() {
			fillArrays(c.Index(i))
		}
		v.Set(c)
	}
}

// escapeUnfit writes as \u escapes what encoding/json leaves as it is and a terminal might obey: DEL, C1
// controls, marks that turn the writing direction. Outside strings JSON is ASCII.
func escapeUnfit(text []byte) []byte {
	out := make([]byte, 0, len(text))
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRune(text[i:])
		if r < 0x7f || !unfit(r) || r == utf8.RuneError {
			out = append(out, text[i:i+size]...)
		} else {
			out = appendEscape(out, r)
		}
		i += size
	}
	return out
}

func appendEscape(out []byte, r rune) []byte {
	units := []rune{r}
	if r > 0xffff {
		hi, lo := utf16.EncodeRune(r)
		units = []rune{hi, lo}
	}
	for _, u := range units {
		out = append(out, '\\', 'u')
		for shift := 12; shift >= 0; shift -= 4 {
			out = append(out, "0123456789abcdef"[u>>shift&15])
		}
	}
	return out
}
