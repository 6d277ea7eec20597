package rules

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/maxconn/maxconn/internal/limit"
)

// The part of Grafana's dashboard model that is used.
type (
	Dashboard struct {
		UID           string     `json:"uid"`
		Title         string     `json:"title"`
		Description   string     `json:"description"`
		Tags          []string   `json:"tags"`
		SchemaVersion int        `json:"schemaVersion"`
		Version       int        `json:"version"`
		Editable      bool       `json:"editable"`
		Refresh       string     `json:"refresh"`
		Time          span       `json:"time"`
		Templating    templating `json:"templating"`
		Panels        []Panel    `json:"panels"`
	}
	Panel struct {
		ID          int          `json:"id"`
		Type        string       `json:"type"`
		Title       string       `json:"title"`
		Description string       `json:"description,omitempty"`
		GridPos     gridPos      `json:"gridPos"`
		Datasource  *datasource  `json:"datasource,omitempty"`
		Targets     []Target     `json:"targets,omitempty"`
		FieldConfig *fieldConfig `json:"fieldConfig,omitempty"`
		Options     any          `json:"options,omitempty"`
		Repeat      string       `json:"repeat,omitempty"`
		MaxPerRow   int          `json:"maxPerRow,omitempty"`
	}
	Target struct {
		RefID   string `json:"refId"`
		Expr    string `json:"expr"`
		Legend  string `json:"legendFormat,omitempty"`
		Instant bool   `json:"instant,omitempty"`
		Format  string `json:"format,omitempty"`
	}
	span       struct{ From, To string }
	gridPos    struct{ H, W, X, Y int }
	datasource struct {
		Type string `json:"type"`
		UID  string `json:"uid"`
	}
	templating struct {
		List []Variable `json:"list"`
	}
	Variable struct {
		Name       string      `json:"name"`
		Type       string      `json:"type"`
		Label      string      `json:"label,omitempty"`
		Query      string      `json:"query"`
		Datasource *datasource `json:"datasource,omitempty"`
		Multi      bool        `json:"multi,omitempty"`
		IncludeAll bool        `json:"includeAll,omitempty"`
		AllValue   string      `json:"allValue,omitempty"`
		Refresh    int         `json:"refresh,omitempty"`
	}
	fieldConfig struct {
		Defaults fieldDefaults `json:"defaults"`
	}
	fieldDefaults struct {
		Unit string   `json:"unit,omitempty"`
		Min  *float64 `json:"min,omitempty"`
	}
)

func (s span) MarshalJSON() ([]byte, error) {
	return json.Marshal(map[string]string{"from": s.From, "to": s.To})
}

func (g gridPos) MarshalJSON() ([]byte, error) {
	return json.Marshal(map[string]int{"h": g.H, "w": g.W, "x": g.X, "y": g.Y})
}

var source = &datasource{"prometheus", "${datasource}"}

// board lays panels out, three in a row of 24 columns.
type board struct {
	Dashboard
	x, y int
}

const height = 8

func (b *board) row(title string) {
	if b.x > 0 {
		b.x, b.y = 0, b.y+height
	}
	b.add(Panel{Type: "row", Title: title, GridPos: gridPos{H: 1, W: 24, Y: b.y}})
	b.y++
}

func (b *board) add(p Panel) {
	p.ID = len(b.Panels) + 1
	b.Panels = append(b.Panels, p)
}

// panel adds one of a width, with a query a line: "legend: expression".
func (b *board) panel(kind string, width int, title, unit, description string, queries ...string) {
	if b.x+width > 24 {
		b.x, b.y = 0, b.y+height
	}
	p := Panel{Type: kind, Title: title, Description: description, Datasource: source,
		GridPos:     gridPos{height, width, b.x, b.y},
		FieldConfig: &fieldConfig{fieldDefaults{Unit: unit, Min: new(float64)}}}
	for i, q := range queries {
		legend, expr, _ := strings.Cut(q, ": ")
		t := Target{RefID: string(rune('A' + i)), Expr: expr, Legend: legend}
		if kind == "table" || kind == "stat" {
			t.Instant, t.Legend = true, ""
		}
		if kind == "table" {
			t.Format = "table"
		}
		p.Targets = append(p.Targets, t)
	}
	b.x += width
	b.add(p)
}

// one is what a query of the host's board selects.
const one = `instance=~"$instance",netns=~"$netns"`

func newBoard(uid, title, description string, variables ...Variable) *board {
	list := append([]Variable{{Name: "datasource", Type: "datasource", Query: "prometheus"}},
		variables...)
	return &board{Dashboard: Dashboard{UID: uid, Title: title, Description: description,
		Tags: []string{"maxconn"}, SchemaVersion: 39, Version: 1, Editable: true,
		Refresh: "30s", Time: span{"now-1h", "now"}, Templating: templating{list}}}
}

func choice(name, query string) Variable {
	return Variable{Name: name, Type: "query", Query: query, Datasource: source, Multi: true,
		IncludeAll: true, AllValue: ".*", Refresh: 2}
}

// Host is the dashboard of one host.
func Host(catalogue []*limit.Limit) Dashboard {
	b := newBoard("maxconn-host", "maxconn: connections of a host",
		"What limits the TCP connections of a host, and how far away it is.",
		choice("instance", "label_values(maxconn_build_info, instance)"),
		choice("netns", `label_values(maxconn_verdict_info{instance=~"$instance"}, netns)`),
		choice("limit", `label_values(maxconn:limit_used:ratio{`+one+`}, limit)`))
	b.row("What stops this host first")
	b.panel("table", 12, "Nearest to their ceilings", "percentunit", "",
		": topk(10, "+Ratio+"{"+one+"})")
	b.panel("state-timeline", 12, "Findings", "", "Those of maxconn check.",
		"{{severity}} {{limit}} {{subject}}: maxconn_finding_info{"+one+"}")
	b.row("Outbound")
	b.panel("timeseries", 8, "Connections by destination", "short", "",
		"{{destination}} {{process}}: sum by (destination, process) "+
			"(maxconn_destination_connections{"+one+"})",
		"ceiling of {{destination}}: maxconn_destination_ceiling_connections{"+one+"}")
	b.panel("timeseries", 8, "Share in TIME_WAIT", "percentunit", "",
		`{{destination}}: sum by (destination) (maxconn_destination_connections{`+one+
			`,state="time_wait"}) / sum by (destination) `+
			`(maxconn_destination_ceiling_connections{`+one+`})`)
	b.panel("timeseries", 8, "New connections per second, of the ceiling", "percentunit", "",
		"{{subject}}: maxconn_limit_used_connections_per_second{"+one+"} / "+
			"(maxconn_limit_ceiling_connections_per_second{"+one+"} > 0)")
	b.row("Inbound")
	b.panel("timeseries", 8, "Accept queues: highest, of the ceiling", "short",
		"The highest length since the scrape before.",
		"{{listener}} {{process}}: maxconn_listener_accept_queue_peak_connections{"+one+"}",
		"ceiling of {{listener}}: maxconn_listener_accept_queue_ceiling_connections{"+
			one+"}")
	b.panel("timeseries", 8, "Connections by listener", "short", "",
		"{{listener}} {{state}}: maxconn_listener_connections{"+one+"}")
	b.panel("timeseries", 8, "Dropped at listeners", "cps",
		"SYNs and ACKs, retransmissions included.",
		"{{listener}}: rate(maxconn_listener_dropped_total{"+one+"}[$__rate_interval])")
	b.row("Process and host")
	b.panel("timeseries", 8, "Descriptors of the fullest processes", "percentunit", "",
		`{{process}} {{unit}}: maxconn_process_open_files{instance=~"$instance"} / `+
			`(maxconn_process_open_files_ceiling{instance=~"$instance"} > 0)`)
	b.panel("timeseries", 8, "Tables of the host and of the namespace", "percentunit", "",
		"{{limit}} {{netns}}: "+Ratio+"{"+one+`,scope=~"host|netns"}`)
	b.panel("timeseries", 8, "Refused, by limit", "cps", "",
		"{{limit}} {{netns}}: "+
			"rate(maxconn_limit_refusals_total{"+one+"}[$__rate_interval])")
	b.row("Each limit")
	b.limits(catalogue)
	b.row("The exporter")
	exporterPanels(b)
	return b.Dashboard
}

// limits adds a panel that Grafana repeats for each limit that the host shows, and says what they
// are.
func (b *board) limits(catalogue []*limit.Limit) {
	b.panel("timeseries", 8, "$limit", "percentunit", "Share of the ceiling that is used.",
		"{{subject}}: "+Ratio+"{"+one+`,limit=~"$limit"}`)
	last := &b.Panels[len(b.Panels)-1]
	last.Repeat, last.MaxPerRow = "limit", 3
	var text strings.Builder
	for _, l := range catalogue {
		fmt.Fprintf(&text, "- `%s`: %s\n", l.ID, l.Title)
	}
	b.add(Panel{Type: "text", Title: "The limits", GridPos: gridPos{height, 16, 8, b.y},
		Options: map[string]string{"mode": "markdown", "content": text.String()}})
	b.x = 24
}

func exporterPanels(b *board) {
	const host = `instance=~"$instance"`
	b.panel("timeseries", 8, "Processor time of the surveys", "percentunit",
		"Of one processor; at most 1 % is the aim.",
		"{{instance}}: rate(maxconn_survey_cpu_seconds_total{"+host+"}[$__rate_interval])")
	b.panel("timeseries", 8, "Time between surveys", "s", "",
		"{{instance}}: maxconn_survey_interval_seconds{"+host+"}")
	b.panel("timeseries", 8, "What is not seen", "short",
		"Facts that could not be read, and rows that are not told apart.",
		"facts, {{reason}}: maxconn_unreadable_facts{"+host+"}",
		"rows of {{table}}: maxconn_rows_left_out{"+host+"}")
}

// Fleet is the dashboard of many hosts.
func Fleet([]*limit.Limit) Dashboard {
	b := newBoard("maxconn-fleet", "maxconn: connections of all hosts",
		"Which hosts come near which limits.",
		choice("instance", "label_values(maxconn_build_info, instance)"))
	const all = `instance=~"$instance"`
	b.row("Hosts and limits")
	b.panel("status-history", 24, "Share of the ceiling, by host and limit", "percentunit", "",
		"{{instance}} {{limit}}: max by (instance, limit) ("+Ratio+"{"+all+"})")
	b.panel("table", 12, "Worst hosts", "percentunit", "",
		": topk(20, maxconn:host_worst:ratio{"+all+"})")
	b.panel("table", 12, "Findings", "short", "Hosts by limit and severity.",
		": count by (limit, severity) (count by (instance, limit, severity) "+
			"(maxconn_finding_info{"+all+"}))")
	b.row("Verdicts and exporters")
	b.panel("timeseries", 12, "Verdicts", "short",
		"Of network namespaces, as check gives them.",
		"{{verdict}}: count by (verdict) (maxconn_verdict_info{"+all+"})")
	exporterPanels(b)
	return b.Dashboard
}

// JSON is the file of a dashboard.
func JSON(d Dashboard) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(d)
	return b.Bytes(), err
}

// Queries are the expressions of all panels, as Grafana would send them where everything is
// chosen.
func (d Dashboard) Queries() (all []string) {
	r := strings.NewReplacer("$instance", ".*", "$netns", ".*", "$limit", ".*",
		"$__rate_interval", "1m")
	for _, p := range d.Panels {
		for _, t := range p.Targets {
			all = append(all, r.Replace(t.Expr))
		}
	}
	return all
}

// Files are those of packaging/, by name.
func Files(catalogue []*limit.Limit) (map[string][]byte, error) {
	files := map[string][]byte{}
	var err error
	keep := func(name string, text []byte, e error) {
		files[name] = text
		if err == nil {
			err = e
		}
	}
	text, e := YAML(All(catalogue))
	keep("prometheus/maxconn.rules.yml", text, e)
	text, e = JSON(Host(catalogue))
	keep("grafana/maxconn-host.json", text, e)
	text, e = JSON(Fleet(catalogue))
	keep("grafana/maxconn-fleet.json", text, e)
	return files, err
}
