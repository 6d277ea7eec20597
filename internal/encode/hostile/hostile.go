// Package hostile is what an attacker would put into a name: for tests of everything that prints.
package hostile

import (
	"reflect"
	"strings"
)

// Canary is the word that a command, once executed, would leave behind as a file in Dir.
const Canary = "zqcanary"

// Strings are the hostile texts; each is to arrive as it is, or made visible, and nothing else may
// come of it. dir is where executed commands leave a file.
func Strings(dir string) []string {
	touch := "touch " + dir + "/" + Canary
	return append(executed(touch), forged()...)
}

// executed would run a command.
func executed(touch string) []string {
	return []string{
		`{{lookup('pipe','` + touch + `')}}`,
		`{% for x in [lookup("pipe","` + touch + `")] %}{{x}}{% endfor %}`,
		`{{x}}`, `{# x #}`,
		`$(` + touch + `)`, "`" + touch + "`", `'; ` + touch + `; '`, `"; ` + touch + `; "`,
		"a\n" + touch + "\n", "a\r\n" + touch + " #", `\`, `a\`,
		`${f:exec:` + touch + `}`, `${builtins.readFile "/etc/hostname"}`, `''${x}`,
		`"; x = "`,
		`%i%n`, `[Service]` + "\nExecStart=" + touch, "\nRUN+=\"" + touch + "\"",
		"-w net.ipv4.ip_forward=1", "--help",
	}
}

// forged would become an element, a key, a line, another direction.
func forged() []string {
	return []string{
		"\x1b]0;owned\x07\x1b[2J", "\x9b31m", "\u009b2J", "\x7f\x00\x08", "\xff\xfe",
		"\u202egpj.exe", "\u2066x\u2069", "\u200e\u200f\u061c",
		"\u200bx\u2028y\u2029z\u0085w",
		"\ufeff", "\U000e0041",
		`<img src=x onerror=alert(1)>`, `<script>alert(1)</script>`, `</pre></title><b>`,
		`" onload="x`, `&lt;b&gt;&#x202e;`,
		"\n# heading\n", "# heading", "- item", "+ item", "1. item", "> quote", "---",
		"***",
		"```\ncode", "~~~", "    code",
		"a | b | c", `a \| b`, "`a", "a``b`", " a ", "![x](http://evil.example/x.png)",
		"[x](javascript:alert(1))",
		"<http://evil.example>", "http://evil.example", "www.evil.example",
		"mail@evil.example",
		"@everyone", "#1", "$x$",
		"**b**", "__b__", "*b*", "_b_", "~~b~~", "a\\*b", "trailing #", "{0}", "[x](1)",
		"- x: y", "a: b", "? x", "&a *a", "!!python/object/apply:os.system [id]", "# x",
		"@x", "%x",
		"{a: b}", "[a", "true", "null",
		"=cmd|' /C calc'!A0", "+1", "-1", "../../../../etc/passwd", "/etc/cron.d/x", "..",
		".", "",
		" ", strings.Repeat("x", 4096),
	}
}

// Fill sets every string of a value, at whatever depth, to the text, and returns their paths. Names
// of types for which keep says so stay: such as a schema, without which nothing is read.
func Fill(v any, text string, keep func(path string) bool) (paths []string) {
	Each(v, func(path string, field reflect.Value) {
		if !keep(path) {
			field.SetString(text)
			paths = append(paths, path)
		}
	})
	return paths
}

// Each calls f for every string below a pointer, with its path: "Proofs[0].Claim". Values of maps
// are strings too; their keys are not.
func Each(
	v any,
	f func(path string, field reflect.Value),
) {
	walk("", reflect.ValueOf(v).Elem(), f)
}

func walk(path string, v reflect.Value, f func(string, reflect.Value)) {
	switch v.Kind() {
	case reflect.String:
		f(path, v)
	case reflect.Struct:
		for i := range v.NumField() {
			if field := v.Type().Field(i); field.IsExported() {
				walk(strings.TrimPrefix(path+"."+field.Name, "."), v.Field(i), f)
			}
		}
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			walk(path+"[]", v.Index(i), f)
		}
	case reflect.Pointer:
		if !v.IsNil() {
			walk(path, v.Elem(), f)
		}
	case reflect.Map:
		for _, key := range v.MapKeys() {
			value := reflect.New(v.Type().Elem()).Elem()
			value.Set(v.MapIndex(key))
			walk(path+"{}", value, f)
			v.SetMapIndex(key, value)
		}
	}
}

// Populate gives every nil slice and pointer below a value one element, and empty strings a word,
// so that Each finds all fields. depth bounds types that hold themselves.
func Populate(v any, depth int) { populate(reflect.ValueOf(v).Elem(), depth) }

func populate(v reflect.Value, depth int) {
	if depth == 0 || !v.CanSet() {
		return
	}
	switch v.Kind() {
	case reflect.String:
		if v.Len() == 0 {
			v.SetString("x")
		}
	case reflect.Struct:
		for i := range v.NumField() {
			populate(v.Field(i), depth)
		}
	case reflect.Slice:
		if v.Len() == 0 {
			v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		}
		for i := range v.Len() {
			populate(v.Index(i), depth-1)
		}
	case reflect.Pointer:
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
		}
		populate(v.Elem(), depth-1)
	}
}
