package render

import (
	_ "embed"
	"html/template"
	"io"

	"github.com/maxconn/maxconn/internal/diagnose"
	"github.com/maxconn/maxconn/internal/encode"
	"github.com/maxconn/maxconn/internal/limit"
)

// Page is a report to be shown in a browser, with what is known of the time before.
type Page struct {
	Report diagnose.Report
	Plots  []Plot
	Events []PageEvent // the latest first
	// Live says that a server shows it: it is renewed by page.js.
	Live bool
	// Spaces are the network namespaces that there is a page of, where there are several.
	Spaces []PageSpace
	Note   string // what is to be said before the verdict, ""
}

// PageEvent is a finding that began or ended.
type PageEvent struct{ When, What string }

// PageSpace is a network namespace, with its verdict.
type PageSpace struct {
	Name, Verdict string
	Shown         bool
}

// CheckHTML writes a report as a page that stands alone: no script, no font, nothing to load.
func CheckHTML(w io.Writer, r diagnose.Report) error { return WritePage(w, Page{Report: r}) }

// WritePage writes the page. Without scripts it is whole.
func WritePage(w io.Writer, p Page) error { return checkPage.Execute(w, encode.HTML(p)) }

// words are spans without their paint.
func words(spans []span) (text string) {
	for _, s := range spans {
		text += s.text
	}
	return text
}

// outboundRows and inboundRows are those of the text.
func outboundRows(r diagnose.Report) (rows [][]string) {
	for _, o := range r.Capacity.Outbound {
		rows = append(rows, outboundRow(o))
	}
	return rows
}

func inboundRows(r diagnose.Report) (rows [][]string) {
	for _, i := range r.Capacity.Inbound {
		rows = append(rows, inboundRow(i))
	}
	return rows
}

func goalText(j diagnose.Judged) string {
	verdict, why := goalWords(j)
	return j.Direction + " " + j.Goal + ": " + verdict.text + why
}

//go:embed check_page.html
var checkPageText string

var checkPage = template.Must(template.New("check").Funcs(template.FuncMap{
	"about":    func(r diagnose.Report) string { return words(about(r.Host)) },
	"verdict":  func(r diagnose.Report) string { return words(verdictSpans(r)) },
	"outbound": outboundRows, "inbound": inboundRows, "goal": goalText,
	"severity": func(f diagnose.Finding) string { return severity(f).text },
	"subject":  subject, "use": use,
	"evidence": func(e limit.Evidence) string { return evidence(e) },
	"remedy":   func(m limit.Remedy) string { return remedy(m) },
	"unseen":   func(u diagnose.Unseen) string { return u.Fact + ": " + u.Why + usedBy(u) },
	"draw":     func(p Plot) template.HTML { return template.HTML(p.SVG()) },
}).Parse(checkPageText))
