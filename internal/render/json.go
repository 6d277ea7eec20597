package render

import (
	"bufio"
	"bytes"
	"cmp"
	"io"
	"reflect"
	"strings"

	"github.com/maxconn/maxconn/internal/diagnose"
	"github.com/maxconn/maxconn/internal/encode"
)

// writeJSON has [] in place of null, and escapes whatever a terminal might obey.
func writeJSON(w io.Writer, v any) error {
	whole := reflect.New(reflect.TypeOf(v)).Elem()
	whole.Set(reflect.ValueOf(v))
	fillArrays(whole)
	text, err := encode.JSON(whole.Interface())
	if err != nil {
		return err
	}
	_, err = w.Write(text)
	return err
}

// fillArrays makes every nil slice below an addressable value an empty one. Slices are
// copied before their elements change: the caller keeps its own.
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

// manySubjects is from where a report is written in pieces: a whole one takes several times
// its size in memory.
const manySubjects = 256

// JSON writes a report in its stable form.
func JSON(w io.Writer, r diagnose.Report) error {
	c := r.Capacity
	if len(r.Findings)+len(c.Outbound)+len(c.Inbound) < manySubjects {
		return writeJSON(w, r)
	}
	frame := r
	frame.Findings, frame.Capacity = nil, diagnose.Capacity{}
	var text bytes.Buffer
	if err := writeJSON(&text, frame); err != nil {
		return err
	}
	p := pieces{w: bufio.NewWriterSize(w, 1<<16), rest: text.String()}
	fill(&p, "    ", `"outbound"`, c.Outbound)
	fill(&p, "    ", `"inbound"`, c.Inbound)
	fill(&p, "  ", `"findings"`, r.Findings)
	p.write(p.rest)
	return cmp.Or(p.err, p.w.Flush())
}

// pieces are a document whose lists are still empty, and written one after the other.
type pieces struct {
	w    *bufio.Writer
	rest string // of the frame
	err  error
}

func (p *pieces) write(text string) {
	if p.err == nil {
		_, p.err = p.w.WriteString(text)
	}
}

func (p *pieces) raw(text []byte) {
	if p.err == nil {
		_, p.err = p.w.Write(text)
	}
}

// fill writes the frame up to an empty list of this name and indent, and fills it. No text
// of the frame can be mistaken for it: JSON has no line feeds inside strings.
func fill[T any](p *pieces, indent, name string, items []T) {
	if len(items) == 0 {
		return
	}
	before, after, found := strings.Cut(p.rest, "\n"+indent+name+": []")
	if !found {
		p.err = io.ErrShortWrite // the frame is not what writeJSON makes
		return
	}
	p.write(before + "\n" + indent + name + ": [")
	var b bytes.Buffer
	for i, item := range items {
		b.Reset()
		if err := writeJSON(&b, item); err != nil && p.err == nil {
			p.err = err
		}
		if p.err != nil {
			return
		}
		p.write(separator(i))
		for line := range bytes.Lines(b.Bytes()) {
			p.write("\n" + indent + "  ")
			p.raw(bytes.TrimSuffix(line, []byte("\n")))
		}
	}
	p.write("\n" + indent + "]")
	p.rest = after
}

func separator(i int) string {
	if i == 0 {
		return ""
	}
	return ","
}
