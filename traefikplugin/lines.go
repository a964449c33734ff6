package traefikplugin

import (
	"context"
	"log/slog"
	"net/http"
	"os"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/approovgate/approovgate/engine"
	"github.com/approovgate/approovgate/gate"
)

const (
	linesPerSecond = 10  // of requests that fail for one reason
	maxProblem     = 512 // bytes of a problem in a line
)

// output is where lines about requests and events go: standard output, one JSON object each, past Traefik's own log.
var output slog.Handler = slog.NewJSONHandler(os.Stdout, nil)

// lines are what one gate tells of requests and of itself.
type lines struct {
	gate string // the policy's name

	mu       sync.Mutex // guards accounts
	accounts map[kind]*account
}

// kind is what lines are counted by. Its words come from the policy and the list of reasons, never from a client.
type kind struct{ route, reason, action string }

// account is what became of the lines of a kind.
type account struct {
	second  int64  // Unix time
	written int    // in it
	skipped *int64 // atomic: since the last summary
	full    *int64 // atomic: the second, once no more lines are to be written in it
}

func newLines(name string) *lines { return &lines{gate: name, accounts: map[kind]*account{}} }

// decided writes one line for a request that fails its check, whatever becomes of it, and for one that is let through
// without the binding its route asks for. In a flood of one kind it writes 10 a second, and how many there were.
func (l *lines) decided(a *gate.Answer, r *http.Request) {
	text := "request rejected"
	if a.Action == engine.Forward {
		if a.Verdict != engine.Fail && !a.Unbound {
			return
		}
		text = "request would be rejected"
		if a.Verdict != engine.Fail {
			text = "request accepted without binding"
		}
	}
	of := kind{a.Route, string(a.Reason), string(a.Action)}
	write, skipped := l.spend(of, now().Unix())
	if skipped > 0 {
		l.summary(of, skipped)
	}
	if write {
		l.write(slog.LevelInfo, text, a.Attrs(r))
	}
}

// spend takes one of the second's lines of a kind, and says how many were skipped in the seconds before.
func (l *lines) spend(of kind, second int64) (write bool, skipped int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.account(of)
	if a.second != second {
		skipped = atomic.SwapInt64(a.skipped, 0)
		a.second = second
		a.written = 0
		atomic.StoreInt64(a.full, 0)
	}
	if a.written == linesPerSecond {
		atomic.AddInt64(a.skipped, 1)
		return false, skipped
	}
	a.written++
	if a.written == linesPerSecond {
		atomic.StoreInt64(a.full, second)
	}
	return true, skipped
}

// account is the account of a kind. mu is held.
func (l *lines) account(of kind) *account {
	a := l.accounts[of]
	if a == nil {
		a = &account{skipped: new(int64), full: new(int64)}
		l.accounts[of] = a
	}
	return a
}

// quiet tells the gate when it need not tell of requests that are refused.
func (l *lines) quiet(route string, reason engine.Reason) *gate.Quiet {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.account(kind{route, string(reason), string(engine.Reject)})
	return &gate.Quiet{Second: a.full, Skipped: a.skipped}
}

// flush writes what is left to say of floods that are over.
func (l *lines) flush() {
	for of, skipped := range l.left() {
		l.summary(of, skipped)
	}
}

func (l *lines) left() map[kind]int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := map[kind]int64{}
	for of, a := range l.accounts {
		if skipped := atomic.SwapInt64(a.skipped, 0); skipped > 0 {
			all[of] = skipped
		}
	}
	return all
}

func (l *lines) summary(of kind, skipped int64) {
	l.write(slog.LevelInfo, "requests not logged one by one", []slog.Attr{slog.Int64("requests", skipped),
		slog.String("reason", of.reason), slog.String("action", of.action), slog.String("route", of.route)})
}

// eventTexts are the messages of lines about events.
var eventTexts = map[gate.EventKind]string{
	gate.ControlSet: "control changed", gate.ControlCleared: "control cleared", gate.ControlEnded: "control ended",
	gate.ControlRefused: "control refused", gate.KeysChanged: "keys changed", gate.SourceFailing: "source failing",
	gate.SourceRecovered: "source recovered",
}

// event writes one line for an event of the gate.
func (l *lines) event(e gate.Event) {
	attrs := []slog.Attr{slog.String("kind", string(e.Kind))}
	if strings.HasPrefix(string(e.Kind), "control_") {
		attrs = append(attrs, controlAttrs(e)...)
	}
	if e.Source != "" {
		attrs = append(attrs, slog.String("source", e.Source))
	}
	if e.Text != "" {
		if len(e.Text) > maxProblem {
			e.Text = e.Text[:maxProblem] + "…"
		}
		attrs = append(attrs, slog.String("problem", gate.Printable(e.Text)))
	}
	level := slog.LevelWarn
	if e.Kind == gate.KeysChanged || e.Kind == gate.SourceRecovered {
		level = slog.LevelInfo
	}
	l.write(level, eventTexts[e.Kind], attrs)
}

// slots are the words for the places of control documents.
var slots = map[gate.Slot]string{gate.Local: "local", gate.Remote: "remote"}

// controlAttrs are the facts of a control document. Its texts come from whoever wrote it.
func controlAttrs(e gate.Event) []slog.Attr {
	c := e.Control
	attrs := []slog.Attr{slog.String("slot", slots[e.Slot]), slog.Int64("version", c.Version)}
	add := func(name, value string) {
		if value != "" {
			attrs = append(attrs, slog.String(name, gate.Printable(value)))
		}
	}
	add("mode", string(c.Mode))
	if c.HasRollout {
		attrs = append(attrs, slog.Int("rollout", c.Rollout))
	}
	var routes []string
	for name, o := range c.Routes {
		routes = append(routes, name+"="+string(o.Mode))
	}
	sort.Strings(routes)
	add("routes", strings.Join(routes, ", "))
	if !c.Until.IsZero() {
		add("until", c.Until.UTC().Format(time.RFC3339))
	}
	add("reason", c.Reason)
	add("by", c.By)
	return attrs
}

func (l *lines) write(level slog.Level, text string, attrs []slog.Attr) {
	record := slog.NewRecord(time.Now(), level, text, 0)
	record.AddAttrs(slog.String("gate", l.gate))
	record.AddAttrs(attrs...)
	_ = output.Handle(context.Background(), record) // a log that cannot be written must not stop requests
}
