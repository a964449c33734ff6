package host

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/approovgate/approovgate/config"
	"github.com/approovgate/approovgate/gate"
)

const (
	maxHeld    = 64  // events that are kept until there is a log
	maxRoutes  = 32  // of an event that are named
	maxProblem = 512 // bytes of a problem in a line
)

// eventTexts are the messages of the lines about events, and how loud they are: what an audit looks for must
// not depend on a log's usual level.
var eventTexts = map[gate.EventKind]struct {
	message string
	level   slog.Level
}{
	gate.ControlSet:      {"control changed", slog.LevelWarn},
	gate.ControlCleared:  {"control cleared", slog.LevelWarn},
	gate.ControlEnded:    {"control ended", slog.LevelWarn},
	gate.ControlRefused:  {"control refused", slog.LevelWarn},
	gate.KeysChanged:     {"keys changed", slog.LevelInfo},
	gate.SourceFailing:   {"source failing", slog.LevelWarn},
	gate.SourceRecovered: {"source recovered", slog.LevelInfo},
}

// LogEvents returns what writes one line for each event of a gate, for gate.Options.Notify.
func LogEvents(log *slog.Logger) func(gate.Event) {
	return func(e gate.Event) {
		text, known := eventTexts[e.Kind]
		if !known {
			text.message, text.level = string(e.Kind), slog.LevelWarn
		}
		log.LogAttrs(context.Background(), text.level, text.message, eventAttrs(e)...)
	}
}

// eventAttrs are the facts of an event. An override's text comes from whoever signed or wrote it.
func eventAttrs(e gate.Event) []slog.Attr {
	attrs := []slog.Attr{slog.String("kind", string(e.Kind))}
	add := func(name, value string) {
		if value != "" {
			attrs = append(attrs, slog.String(name, gate.Printable(value)))
		}
	}
	if strings.HasPrefix(string(e.Kind), "control_") {
		c := e.Control
		add("slot", slotNames[e.Slot])
		attrs = append(attrs, slog.Int64("version", c.Version))
		add("mode", string(c.Mode))
		if c.HasRollout {
			attrs = append(attrs, slog.Int("rollout", c.Rollout))
		}
		add("routes", overrideText(c.Routes))
		if !c.Until.IsZero() {
			add("until", c.Until.UTC().Format(time.RFC3339))
		}
		add("reason", c.Reason)
		add("by", c.By)
	}
	add("source", e.Source)
	if len(e.Text) > maxProblem {
		e.Text = strings.ToValidUTF8(e.Text[:maxProblem], "") + "…"
	}
	add("problem", e.Text)
	return attrs
}

// overrideText is overrides of routes in one line: "transfers=log, login=enforce 25%".
func overrideText(routes map[string]config.Override) string {
	var all []string
	for i, name := range slices.Sorted(maps.Keys(routes)) {
		if i == maxRoutes {
			all = append(all, strconv.Itoa(len(routes)-maxRoutes)+" more")
			break
		}
		says := []string{}
		if o := routes[name]; o.Mode != "" {
			says = append(says, string(o.Mode))
		}
		if o := routes[name]; o.HasRollout {
			says = append(says, strconv.Itoa(o.Rollout)+"%")
		}
		all = append(all, name+"="+strings.Join(says, " "))
	}
	return strings.Join(all, ", ")
}

// slotNames are the words for slots in logs and labels.
var slotNames = map[gate.Slot]string{gate.Local: "local", gate.Remote: "remote"}

// changeKinds are the words for what becomes of control.
var changeKinds = map[gate.EventKind]string{
	gate.ControlSet: "set", gate.ControlCleared: "cleared", gate.ControlEnded: "ended", gate.ControlRefused: "refused",
}

// change is what is counted of control.
type change struct{ slot, kind string }

// Events takes the events of a gate: it counts them, and logs them from when there is a log. The zero value
// is ready.
type Events struct {
	mu      sync.Mutex       // guards the fields below
	log     func(gate.Event) // nil: there is none yet
	held    []gate.Event     // until there is
	changes map[change]int64
}

// Notify takes an event; it is for gate.Options.Notify.
func (e *Events) Notify(event gate.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if kind, counted := changeKinds[event.Kind]; counted {
		if e.changes == nil {
			e.changes = map[change]int64{}
		}
		e.changes[change{slotNames[event.Slot], kind}]++
	}
	if e.log != nil {
		e.log(event)
	} else if len(e.held) < maxHeld {
		e.held = append(e.held, event)
	}
}

// Log logs the events so far, and each from now on at once.
func (e *Events) Log(log *slog.Logger) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.log = LogEvents(log)
	for _, event := range e.held {
		e.log(event)
	}
	e.held = nil
}

var changesDesc = prometheus.NewDesc("approovgate_control_changes_total",
	"Control documents by slot and what became of them: set, cleared, ended or refused.", []string{"slot", "kind"}, nil)

// Describe announces the metric of events.
func (e *Events) Describe(out chan<- *prometheus.Desc) { out <- changesDesc }

// Collect reads it. Every kind is present from the start, for rate().
func (e *Events) Collect(out chan<- prometheus.Metric) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, slot := range slotNames {
		for _, kind := range changeKinds {
			out <- prometheus.MustNewConstMetric(changesDesc, prometheus.CounterValue, float64(e.changes[change{slot, kind}]), slot, kind)
		}
	}
}
