package render

import (
	"io"
	"reflect"

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
