package encode

import "reflect"

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
