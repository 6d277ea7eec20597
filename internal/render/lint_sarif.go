package render

import (
	"io"
	"net/url"
	"strconv"
	"strings"

	"github.com/maxconn/maxconn/internal/encode"
	"github.com/maxconn/maxconn/internal/lint"
)

// LintSARIF writes the faults in the Static Analysis Results Interchange Format 2.1.0
// (OASIS), which code review tools show beside the lines. A rule is a verdict; lines
// without a fault are left out.
func LintSARIF(w io.Writer, r lint.Report, version string) error {
	log := sarifLog{
		Schema:  "https://json.schemastore.org/sarif-2.1.0.json",
		Version: "2.1.0",
		Runs: []sarifRun{{
			Tool: sarifTool{sarifDriver{
				Name:           "maxconn",
				Version:        version,
				InformationURI: "https://github.com/maxconn/maxconn",
				Rules:          sarifRules(),
			}},
			Invocations: sarifInvocations(r),
			Results:     sarifResults(r),
		}},
	}
	return writeJSON(w, log)
}

type sarifLog struct {
	Schema  string     `json:"$schema"`
	Version string     `json:"version"`
	Runs    []sarifRun `json:"runs"`
}

type sarifRun struct {
	Tool        sarifTool         `json:"tool"`
	Invocations []sarifInvocation `json:"invocations,omitempty"`
	Results     []sarifResult     `json:"results"`
}

// sarifInvocation tells of a run that did not see everything (SARIF 2.1.0, 3.20.14, 3.20.21).
type sarifInvocation struct {
	Successful    bool                `json:"executionSuccessful"`
	Notifications []sarifNotification `json:"toolExecutionNotifications"`
}

type sarifNotification struct {
	Level     string              `json:"level"`
	Message   sarifText           `json:"message"`
	Locations []sarifFileLocation `json:"locations"`
}

type sarifFileLocation struct {
	Physical struct {
		Artifact sarifArtifact `json:"artifactLocation"`
	} `json:"physicalLocation"`
}

type sarifTool struct {
	Driver sarifDriver `json:"driver"`
}

type sarifDriver struct {
	Name           string      `json:"name"`
	Version        string      `json:"version"`
	InformationURI string      `json:"informationUri"`
	Rules          []sarifRule `json:"rules"`
}

type sarifRule struct {
	ID               string       `json:"id"`
	ShortDescription sarifText    `json:"shortDescription"`
	Default          sarifDefault `json:"defaultConfiguration"`
}

type sarifDefault struct {
	Level string `json:"level"`
}

type sarifText struct {
	Text string `json:"text"`
}

type sarifResult struct {
	RuleID    string          `json:"ruleId"`
	RuleIndex int             `json:"ruleIndex"`
	Level     string          `json:"level"`
	Message   sarifText       `json:"message"`
	Locations []sarifLocation `json:"locations"`
}

type sarifLocation struct {
	Physical sarifPhysical `json:"physicalLocation"`
}

type sarifPhysical struct {
	Artifact sarifArtifact `json:"artifactLocation"`
	Region   sarifRegion   `json:"region"`
}

type sarifArtifact struct {
	URI string `json:"uri"`
}

type sarifRegion struct {
	StartLine int `json:"startLine"`
}

// lintMeanings are the verdicts that are faults, in words.
var lintMeanings = []struct {
	verdict lint.Verdict
	level   string
	meaning string
}{
	{lint.Gone, "warning", "the kernel has no such setting any more, or not yet"},
	{lint.UnknownKey, "error", "no kernel has a setting of this name"},
	{lint.OutOfBounds, "error", "the kernel refuses the value"},
	{lint.Overridden, "warning", "another line wins"},
	{lint.Harmful, "error", "the line breaks or loses connections"},
	{lint.NoEffect, "warning", "the line changes nothing"},
	{lint.BelowDefault, "warning", "the value is below the kernel's default"},
	{lint.Duplicate, "note", "another line sets the same"},
}

func sarifRules() (rules []sarifRule) {
	for _, m := range lintMeanings {
		rules = append(rules, sarifRule{
			ID:               string(m.verdict),
			ShortDescription: sarifText{m.meaning},
			Default:          sarifDefault{m.level},
		})
	}
	return rules
}

// sarifInvocations is empty where all files were read, and something was recognised in each.
func sarifInvocations(r lint.Report) []sarifInvocation {
	run := sarifInvocation{Successful: len(r.Unread) == 0}
	tell := func(level, file, what string) {
		var at sarifFileLocation
		at.Physical.Artifact.URI = fileURI(file)
		run.Notifications = append(run.Notifications, sarifNotification{level,
			sarifText{encode.SARIFText(what)}, []sarifFileLocation{at}})
	}
	for _, u := range r.Unread {
		tell("error", u.File, "not read: "+u.Why)
	}
	for _, f := range r.NotJudged() {
		tell("warning", f.File, notJudged(f))
	}
	for _, f := range r.Read {
		for _, u := range f.Refers {
			tell("warning", f.File, "not read: line "+strconv.Itoa(u.Line)+": "+u.What)
		}
	}
	if len(run.Notifications) == 0 {
		return nil
	}
	return []sarifInvocation{run}
}

func sarifResults(r lint.Report) (out []sarifResult) {
	for _, l := range r.Lines {
		for i, m := range lintMeanings {
			if m.verdict == l.Verdict {
				out = append(out,
					sarifResult{RuleID: string(m.verdict), RuleIndex: i,
						Level: m.level, Message: sarifText{sarifMessage(l)},
						Locations: []sarifLocation{{sarifPhysical{sarifArtifact{fileURI(l.File)}, sarifRegion{l.Line}}}}})
			}
		}
	}
	return out
}

// sarifMessage is the line, what it does, and where that stands.
func sarifMessage(l lint.Line) string {
	words := settingOf(l)
	if words != "" {
		words += ": "
	}
	words += l.Why
	if l.Source != "" {
		words += " (" + l.Source + ")"
	}
	return encode.SARIFText(words)
}

// fileURI is a path as SARIF wants it: relative ones stay so.
func fileURI(name string) string {
	u := url.URL{Path: strings.ReplaceAll(name, "\\", "/")}
	if strings.HasPrefix(u.Path, "/") {
		u.Scheme = "file"
	}
	return u.String()
}
