package encode

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// HTML is a copy of a value in which every string is visible, for html/template to escape by
// context. It goes by type, so a new field needs no thought.
func HTML[T any](v T) T {
	out := reflect.New(reflect.TypeFor[T]()).Elem()
	out.Set(copied(reflect.ValueOf(&v).Elem()))
	return out.Interface().(T)
}

// copied is a deep copy of exported data with its strings made visible. Unexported fields stay as
// they are.
func copied(v reflect.Value) reflect.Value {
	out := reflect.New(v.Type()).Elem()
	out.Set(v)
	switch v.Kind() {
	case reflect.String:
		out.SetString(Visible(v.String()))
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				out.Field(i).Set(copied(v.Field(i)))
			}
		}
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			out.Set(copiedBehind(v))
		}
	case reflect.Slice:
		if !v.IsNil() {
			out.Set(reflect.MakeSlice(v.Type(), v.Len(), v.Len()))
		}
		copyElements(out, v)
	case reflect.Array:
		copyElements(out, v)
	case reflect.Map:
		out.Set(copiedMap(v))
	}
	return out
}

func copyElements(out, v reflect.Value) {
	for i := range v.Len() {
		out.Index(i).Set(copied(v.Index(i)))
	}
}

func copiedBehind(v reflect.Value) reflect.Value {
	if v.Kind() == reflect.Interface {
		return copied(v.Elem())
	}
	p := reflect.New(v.Type().Elem())
	p.Elem().Set(copied(v.Elem()))
	return p
}

func copiedMap(v reflect.Value) reflect.Value {
	if v.IsNil() {
		return v
	}
	out := reflect.MakeMapWithSize(v.Type(), v.Len())
	for _, key := range v.MapKeys() {
		out.SetMapIndex(copied(key), copied(v.MapIndex(key)))
	}
	return out
}

// JSON is a value in JSON (RFC 8259), indented, with a newline at its end. Strings are the data
// that they were; what a terminal or an editor obeys is a \u escape, so that the text is safe to
// print.
func JSON(v any) ([]byte, error) { return jsonOf(v, "  ") }

// JSONLine is JSON on one line.
func JSONLine(v any) ([]byte, error) { return jsonOf(v, "") }

func jsonOf(v any, indent string) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", indent)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return escapeUnprintable(b.Bytes()), nil
}

// escapeUnprintable escapes what encoding/json leaves as it is: DEL, C1 controls, marks that turn
// the writing direction. Outside strings JSON is ASCII.
func escapeUnprintable(text []byte) []byte {
	first := bytes.IndexFunc(text, func(r rune) bool { return r >= 0x7f })
	if first < 0 {
		return text
	}
	out := append(make([]byte, 0, len(text)), text[:first]...)
	for i := first; i < len(text); {
		r, size := utf8.DecodeRune(text[i:])
		if r < 0x7f || strconv.IsPrint(r) {
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

// SARIFText is the text of a message (SARIF 2.1.0, 3.11): braces would be placeholders (3.11.5) and
// are doubled; brackets would be links (3.11.6) and are escaped with a backslash, as is the
// backslash, where the text holds what looks like a link.
func SARIFText(s string) string {
	s = Visible(s)
	if strings.ContainsAny(s, "{}") {
		s = strings.NewReplacer("{", "{{", "}", "}}").Replace(s)
	}
	if strings.Contains(s, "](") {
		s = strings.NewReplacer(`\`, `\\`, "[", `\[`, "]", `\]`).Replace(s)
	}
	return s
}
