package host

import (
	"slices"
	"strconv"
	"strings"
)

// Field is one named value of a table row.
type Field struct{ Name, Value string }

// Fields are the values of a table row, in the order of their writing. The
// text form is "name=value name2=value2"; a value with a space, a quote or a
// control character is quoted as in Go.
type Fields []Field

// Add appends a field with a text value; an empty value is left out, because an
// absent field means "not known".
func (f Fields) Add(name, value string) Fields {
	if value == "" {
		return f
	}
	return append(f, Field{name, value})
}

// AddInt appends a field with a whole number.
func (f Fields) AddInt(name string, v int64) Fields {
	return append(f, Field{name, strconv.FormatInt(v, 10)})
}

// Lookup returns the value of a field, and whether the row has it.
func (f Fields) Lookup(name string) (string, bool) {
	for _, x := range f {
		if x.Name == name {
			return x.Value, true
		}
	}
	return "", false
}

// with is a copy in which one field has the value.
func (f Fields) with(name, value string) Fields {
	c := slices.Clone(f)
	for i := range c {
		if c[i].Name == name {
			c[i].Value = value
			return c
		}
	}
	return append(c, Field{name, value})
}

func (f Fields) String() string {
	var b strings.Builder
	for i, x := range f {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(x.Name)
		b.WriteByte('=')
		if needsQuote(x.Value) {
			b.WriteString(strconv.Quote(x.Value))
		} else {
			b.WriteString(x.Value)
		}
	}
	return b.String()
}

func needsQuote(v string) bool {
	return v == "" || strings.ContainsFunc(v, func(r rune) bool {
		return r <= ' ' || r == '"' || r == 0x7f || r == 0xfffd || r > 0x7e
	})
}

// parseFields reads the text form. What is not "name=value" is dropped:
// validFields tells beforehand whether anything would be.
func parseFields(text string) Fields {
	f, _ := splitFields(text)
	return f
}

// validFields says whether every part of the text is a field, none too long and not too many.
func validFields(text string) bool {
	n := 0
	ok := eachField(text, func(x Field) bool {
		n++
		return n <= mostFields && (len(x.Value) <= mostName || x.Name == "ports")
	})
	return ok
}

func splitFields(text string) (f Fields, ok bool) {
	f = make(Fields, 0, min(strings.Count(text, "="), mostFields))
	ok = eachField(text, func(x Field) bool { f = append(f, x); return true })
	return f, ok
}

// eachField goes over the fields up to the first that is none, or that is refused, and then
// says false.
func eachField(text string, take func(Field) bool) bool {
	for text != "" {
		name, rest, found := strings.Cut(text, "=")
		if !found || name == "" || strings.ContainsAny(name, " \"") {
			return false
		}
		value, after, ok := cutValue(rest)
		if !ok || !take(Field{name, value}) {
			return false
		}
		text = after
	}
	return true
}

// cutValue takes one value off the front, quoted or bare, and the one space
// behind it.
func cutValue(s string) (value, rest string, ok bool) {
	if !strings.HasPrefix(s, `"`) {
		value, rest, _ = strings.Cut(s, " ")
		return value, rest, value != ""
	}
	q, err := strconv.QuotedPrefix(s)
	if err != nil {
		return "", "", false
	}
	if value, err = strconv.Unquote(q); err != nil {
		return "", "", false
	}
	rest = s[len(q):]
	if rest == "" {
		return value, "", true
	}
	rest, ok = strings.CutPrefix(rest, " ")
	return value, rest, ok
}
