// Package rules makes the alert rules and the dashboards for what the exporter shows, from the
// catalogue of limits: a limit that is added gets its alerts without an edit. It is pure.
package rules

import (
	"bytes"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/maxconn/maxconn/internal/limit"
)

// Rule is a recording rule or an alert of Prometheus.
type Rule struct {
	Record      string            `yaml:"record,omitempty"`
	Alert       string            `yaml:"alert,omitempty"`
	Expr        string            `yaml:"expr"`
	For         string            `yaml:"for,omitempty"`
	Labels      map[string]string `yaml:"labels,omitempty"`
	Annotations map[string]string `yaml:"annotations,omitempty"`
}

// Ratio is the recorded share of its ceiling that each limit of each subject uses.
const Ratio = "maxconn:limit_used:ratio"

// All are the rules for a catalogue.
func All(catalogue []*limit.Limit) []Rule {
	rules := []Rule{
		{Record: Ratio, Expr: "maxconn_limit_used_connections / " +
			"(maxconn_limit_ceiling_connections > 0) or " +
			"maxconn_limit_used_connections_per_second / " +
			"(maxconn_limit_ceiling_connections_per_second > 0) or " +
			"maxconn_limit_used_units / (maxconn_limit_ceiling_units > 0)"},
		{Record: "maxconn:host_worst:ratio",
			Expr: "max by (job, instance) (" + Ratio + ")"},
	}
	for _, l := range catalogue {
		rules = append(rules, ofLimit(l)...)
	}
	return append(rules, general()...)
}

// ofLimit are the alerts of one limit. The findings are those of check: they know the limit better
// than a share of its ceiling does.
func ofLimit(l *limit.Limit) []Rule {
	alert := func(suffix, expr, wait, severity, what string) Rule {
		return Rule{Alert: "Maxconn" + camel(l.ID) + suffix, Expr: expr, For: wait,
			Labels: map[string]string{"severity": severity},
			Annotations: map[string]string{
				"summary": what +
					" ({{ $labels.subject }}, {{ $labels.netns }})",
				"description": l.Title + ": " + l.Doc,
				"runbook": "maxconn check --limit " + string(l.ID) +
					" says what it is here and what to do; maxconn explain " +
					string(l.ID) + " explains the limit.",
			}}
	}
	finding := func(severity string) string {
		return fmt.Sprintf("maxconn_finding_info{limit=%q,severity=%q} > 0", l.ID, severity)
	}
	ratio := fmt.Sprintf("%s{limit=%q}", Ratio, l.ID)
	rules := []Rule{
		alert("Refusing", finding("critical"), "", "critical",
			string(l.ID)+" refuses connections"),
		alert("Warning", finding("warning"), "5m", "warning",
			string(l.ID)+" is near, or does harm"),
	}
	switch {
	case l.Measure == limit.PerSecond:
		rules = append(rules, alert("Near", ratio+" > 0.8", "10m", "warning",
			string(l.ID)+" is used to more than 80 %"))
	case l.Measure == limit.Held && l.Bounds.Direction != 0:
		rules = append(rules, alert("Soon", fmt.Sprintf(
			"predict_linear(%s[30m], 3600) > 1 and %s > 0.5", ratio, ratio), "10m",
			"warning", string(l.ID)+" is reached within the hour if it goes on"))
	}
	return rules
}

// general are the alerts that are of no single limit.
func general() []Rule {
	alert := func(name, expr, wait, severity, summary, description string) Rule {
		return Rule{Alert: "Maxconn" + name, Expr: expr, For: wait,
			Labels: map[string]string{"severity": severity},
			Annotations: map[string]string{"summary": summary,
				"description": description,
				"runbook":     "maxconn check --for 10s"}}
	}
	const where = " ({{ $labels.limit }}{{ $labels.listener }}, {{ $labels.netns }})"
	const peak = "maxconn_listener_accept_queue_peak_connections"
	const most = "maxconn_listener_accept_queue_ceiling_connections"
	return []Rule{
		alert("Refusals", "increase(maxconn_limit_refusals_total[5m]) > 0", "", "warning",
			"connections were refused"+where,
			"A counter of the kernel moved that counts what a limit refuses, "+
				"retransmissions included."),
		alert("RefusalsGoOn", "rate(maxconn_limit_refusals_total[5m]) > 1", "5m",
			"critical", "connections are refused all the time"+where,
			"More than one a second, for five minutes."),
		alert("AcceptQueueFull", peak+" >= "+most, "2m", "critical",
			"the accept queue was full again and again"+where,
			"The highest length of the queue since the last scrape is all that it "+
				"holds: SYNs that come then are dropped."),
		alert("AcceptQueueNear", peak+" / "+most+" > 0.8", "10m", "warning",
			"the accept queue is nearly full again and again"+where,
			"The highest length of the queue since the last scrape is more than 80 % "+
				"of what it holds."),
		alert("SettingDrift", "maxconn_setting_in_force == 0", "15m", "warning",
			"a setting is not as maxconn apply has left it ({{ $labels.setting }})",
			"Somebody or something has changed it since: maxconn verify says what it "+
				"is now, and who sets it."),
		alert("Blind", "time() - maxconn_last_survey_timestamp_seconds > "+
			"3 * maxconn_survey_interval_seconds + 10", "1m", "warning",
			"maxconn sees nothing on {{ $labels.instance }}",
			"No survey has succeeded for three intervals: all figures are old."),
		alert("Unreadable", `maxconn_unreadable_facts{reason="permission"} > 0`, "15m",
			"info", "maxconn may not see all on {{ $labels.instance }}",
			"Facts could not be read for want of permission: what they would tell is "+
				"not known, and does not count as good. As root it sees them."),
		alert("Absent", "absent(maxconn_build_info)", "5m", "warning",
			"no maxconn exporter answers", "No target has maxconn_build_info."),
	}
}

// camel is an ID as names of alerts are written: "EphemeralPorts".
func camel(id limit.ID) string {
	var b strings.Builder
	for part := range strings.SplitSeq(string(id), "-") {
		b.WriteString(strings.ToUpper(part[:1]) + part[1:])
	}
	return b.String()
}

const header = `# Alerts and recording rules for maxconn exporter. Made by go generate: do not edit.
# promtool check rules maxconn.rules.yml; in prometheus.yml: rule_files: [maxconn.rules.yml]
`

// YAML is a file of rules.
func YAML(rules []Rule) ([]byte, error) {
	type group struct {
		Name  string `yaml:"name"`
		Rules []Rule `yaml:"rules"`
	}
	var b bytes.Buffer
	b.WriteString(header)
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	err := e.Encode(map[string][]group{"groups": {{"maxconn", rules}}})
	return b.Bytes(), err
}
