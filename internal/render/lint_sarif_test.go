package render

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/maxconn/maxconn/internal/lint"
)

// What the schema of SARIF 2.1.0 (OASIS, sarif-schema-2.1.0.json) allows of the objects that
// LintSARIF writes: it takes no other property. "!" marks what an object must have; what stands
// behind the colon is a type of JSON, or an object of this table, with [] for a list.
var sarifSchema = map[string]string{
	"log":              "$schema:string version!:string runs!:[]run",
	"run":              "tool!:tool invocations:[]invocation results:[]result",
	"tool":             "driver!:driver",
	"driver":           "name!:string version:string informationUri:string rules:[]rule",
	"rule":             "id!:string shortDescription:text defaultConfiguration:configuration",
	"text":             "text!:string",
	"configuration":    "level:level",
	"result":           "ruleId:string ruleIndex:index level:level message!:text locations:[]location",
	"location":         "physicalLocation:physicalLocation",
	"physicalLocation": "artifactLocation:artifactLocation region:region",
	"artifactLocation": "uri:string",
	"region":           "startLine:line",
	"invocation": "executionSuccessful!:bool " +
		"toolExecutionNotifications:[]notification",
	"notification": "level:level message!:text locations:[]location",
}

// A report of a repository, with faults, a file that could not be read, and one of which nothing
// was judged, is what the schema allows; so is one of a clean file.
func TestSARIFSchema(t *testing.T) {
	files := []lint.File{
		{Name: "etc/sysctl.d/10-a.conf", Text: []byte("net.core.somaxconn = 1\nx = y\n")},
		{Name: "/srv/b c.yaml", Text: []byte("sysctls: {net.ipv4.tcp_tw_recycle: 1}\n")},
		{Name: "notes.txt", Text: []byte("Nothing is set here.\n")},
		{Name: "main.go", Text: []byte("package main\n")},
		{Name: "etc/sysctl.d/20-b.conf", Unread: "permission denied"},
	}
	for n := range len(files) + 1 {
		var b bytes.Buffer
		r := lint.Lint(files[:n], lint.Target{Kernel: "6.12"})
		if err := LintSARIF(&b, r, "1.0"); err != nil {
			t.Fatal(err)
		}
		var log any
		if err := json.Unmarshal(b.Bytes(), &log); err != nil {
			t.Fatal(err)
		}
		checkSARIF(t, "log", log)
	}
}

func checkSARIF(t *testing.T, kind string, v any) {
	t.Helper()
	if kind, isList := strings.CutPrefix(kind, "[]"); isList {
		list, ok := v.([]any)
		if !ok {
			t.Errorf("%v is no list of %s", v, kind)
		}
		for _, one := range list {
			checkSARIF(t, kind, one)
		}
		return
	}
	if properties, ok := sarifSchema[kind]; ok {
		checkObject(t, kind, properties, v)
		return
	}
	ok := false
	switch x := v.(type) {
	case string:
		ok = kind == "string" || kind == "level" &&
			strings.Contains(" none note warning error ", " "+x+" ")
	case float64:
		ok = kind == "index" && x >= 0 || kind == "line" && x >= 1
	case bool:
		ok = kind == "bool"
	}
	if !ok {
		t.Errorf("%v is no %s", v, kind)
	}
}

func checkObject(t *testing.T, kind, properties string, v any) {
	t.Helper()
	object, ok := v.(map[string]any)
	if !ok {
		t.Errorf("%v is no %s", v, kind)
		return
	}
	known := map[string]bool{}
	for _, p := range strings.Fields(properties) {
		name, inner, _ := strings.Cut(p, ":")
		name, must := strings.CutSuffix(name, "!")
		known[name] = true
		if value, there := object[name]; there {
			checkSARIF(t, inner, value)
		} else if must {
			t.Errorf("%s without %s", kind, name)
		}
	}
	for name := range object {
		if !known[name] {
			t.Errorf("%s has %s", kind, name)
		}
	}
}
