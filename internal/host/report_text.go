package host

import (
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/approovgate/approovgate/gate"
)

// Text is the report as a page of at most 100 columns.
func (r Report) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Go-live report of gate %s\n%s to %s, %.1f hours\n\n", gate.Printable(r.Gate), minute(r.From), minute(r.To), r.To.Sub(r.From).Hours())
	r.writeRoutes(&b)
	r.writeReasons(&b)
	r.writeClients(&b)
	r.writeBinding(&b)
	r.writeKeys(&b)
	r.writeAnswer(&b)
	return b.String()
}

func minute(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

// allOthers is what requests that no route matches are called.
const allOthers = "(all others)"

// routeName is what a page calls a route.
func routeName(name string) string {
	if name == "" {
		return allOthers
	}
	return cut(gate.Printable(name), 24)
}

// cut shortens a text for a column.
func cut(text string, most int) string {
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most-1]) + "…"
	}
	return text
}

// table writes rows of cells that are separated by tabs.
func table(b *strings.Builder, title string, rows []string) {
	if len(rows) < 2 {
		return
	}
	fmt.Fprintf(b, "%s\n", title)
	w := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		fmt.Fprintln(w, "  "+row)
	}
	_ = w.Flush() // a strings.Builder takes everything
	b.WriteString("\n")
}

func (r *Report) writeRoutes(b *strings.Builder) {
	rows := []string{"route\tmode\tchecked\tgenuine\twould be rejected\trejected\tnot checked"}
	for _, route := range r.Routes {
		mode := string(route.Mode)
		if route.Exempt {
			mode = "exempt"
		} else if route.Rollout < 100 {
			mode += fmt.Sprintf(" %d %%", route.Rollout)
		}
		rows = append(rows, fmt.Sprintf("%s\t%s\t%d\t%s\t%d\t%d\t%d",
			routeName(route.Route), mode, route.Requests, percent(route.share(route.Genuine)), route.Would, route.Rejected, route.Unchecked))
	}
	table(b, "Requests", rows)
}

func (r *Report) writeReasons(b *strings.Builder) {
	rows := []string{"route\treason\tcount\tshare\tmeaning"}
	for _, route := range r.Routes {
		for _, reason := range route.Reasons {
			rows = append(rows, fmt.Sprintf("%s\t%s\t%d\t%s\t%s", routeName(route.Route), reason.Reason, reason.N, percent(reason.Share), cut(reason.Meaning, 36)))
		}
	}
	table(b, "Why requests fail", rows)
}

func (r *Report) writeClients(b *strings.Builder) {
	const most = 15
	rows := []string{"route\tclient\tapp version\tcount\tlooks like"}
	for i, c := range r.Clients {
		if i == most {
			rows = append(rows, fmt.Sprintf("… and %d more kinds", len(r.Clients)-most))
			break
		}
		number := fmt.Sprint(c.N)
		if c.AtMost {
			number = "at most " + number
		}
		rows = append(rows, fmt.Sprintf("%s\t%s\t%s\t%s\t%s", routeName(c.Route), c.Family, c.AppVersion, number, looks(c.Looks)))
	}
	table(b, "Who sends no token", rows)
}

func looks(like string) string {
	switch like {
	case "app":
		return "the app: genuine requests come from such clients"
	case "tool":
		return "a tool"
	}
	return "neither the app nor a known tool"
}

func (r *Report) writeBinding(b *strings.Builder) {
	rows := []string{"route\tgenuine\tbound tokens\taccepted unbound"}
	for _, route := range r.Routes {
		if n := route.Binding; n != nil {
			rows = append(rows, fmt.Sprintf("%s\t%d\t%s\t%d", routeName(route.Route), n.Genuine, percent(float64(n.WithPay)/float64(n.Genuine)), n.Unbound))
		}
	}
	table(b, "Binding", rows)
}

func (r *Report) writeKeys(b *strings.Builder) {
	rows := []string{"key\tin its window\ttokens since start\tper minute\tlast use\tends"}
	for _, key := range r.Keys {
		usable, last, ends := "yes", "never", ""
		if !key.Usable {
			usable = "no"
		}
		if key.LastUse != nil {
			last = minute(*key.LastUse)
		}
		if key.NotAfter != nil {
			ends = minute(*key.NotAfter)
		}
		rows = append(rows, fmt.Sprintf("%s\t%s\t%d\t%d\t%s\t%s", cut(gate.Printable(key.Name), 24), usable, key.Tokens, key.PerMinute, last, ends))
	}
	table(b, "Keys", rows)
}

func (r *Report) writeAnswer(b *strings.Builder) {
	if r.Ready {
		b.WriteString("Can checks be enforced? YES. Nothing known is in the way.\n")
		return
	}
	b.WriteString("Can checks be enforced? NOT YET. In the way:\n")
	for i, o := range r.InTheWay {
		where := ""
		if o.About != nil {
			where = routeName(*o.About) + ": "
		}
		wrap(b, fmt.Sprintf("%3d. ", i+1), where+o.What)
		wrap(b, "     → ", o.Do)
	}
}

// wrap writes a text in lines of at most 96 columns, behind a mark and then below it.
func wrap(b *strings.Builder, mark, text string) {
	const width = 96
	b.WriteString(mark)
	column := len([]rune(mark))
	indent := strings.Repeat(" ", column)
	at := column
	for i, word := range strings.Fields(text) {
		size := len([]rune(word))
		if i > 0 && at+1+size > width {
			b.WriteString("\n" + indent)
			at = column
		} else if i > 0 {
			b.WriteString(" ")
			at++
		}
		b.WriteString(word)
		at += size
	}
	b.WriteString("\n")
}
