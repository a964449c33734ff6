package traefikplugin

import (
	"expvar"
	"io"
	"log"
	"net"
	"net/http"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/approovgate/approovgate/gate"
)

// figureServer serves the figures of all gates of the process to Prometheus. It ends when no gate names its address.
type figureServer struct{ socket net.Listener } // nil: it could not be opened

// listen opens the listeners that gates name and closes those that none does any more. One that cannot be opened is
// told of, is tried again, and stops no request. mu is held.
func (g *gates) listen() {
	wanted := map[string]bool{}
	for _, r := range g.all {
		if r.setup.metrics != "" {
			wanted[r.setup.metrics] = true
		}
	}
	for address, l := range g.listeners {
		if !wanted[address] {
			l.end()
			delete(g.listeners, address)
		}
	}
	for address := range wanted {
		before := g.listeners[address]
		if before != nil && before.socket != nil {
			continue
		}
		l, err := net.Listen("tcp", address)
		if err != nil {
			if before == nil {
				log.Println("approovgate: metrics: " + err.Error() + "; choose another address")
			}
			g.listeners[address] = &figureServer{}
			continue
		}
		g.listeners[address] = &figureServer{l}
		server := &http.Server{Handler: http.HandlerFunc(g.serveFigures), ReadHeaderTimeout: 5 * time.Second,
			WriteTimeout: 10 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 1 << 14}
		go serve(server, l)
	}
}

// end closes a listener, if it could be opened.
func (s *figureServer) end() {
	if s.socket != nil {
		_ = s.socket.Close() // it serves figures alone
	}
}

// serve ends when the listener is closed.
func serve(server *http.Server, l net.Listener) { _ = server.Serve(l) }

// serveFigures answers GET /metrics in Prometheus' text format.
func (g *gates) serveFigures(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/metrics" || r.Method != http.MethodGet && r.Method != http.MethodHead {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	_, _ = io.WriteString(w, g.figures()) // a client that has gone needs no answer
}

// figures are all gates' in Prometheus' text format, under the names that the other hosts use, with the gate's name
// as one more label.
func (g *gates) figures() string {
	f := &figures{lines: map[string][]string{}, known: map[string]bool{}}
	all := g.names()
	names := make([]string, 0, len(all))
	for name := range all {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		f.gate = name
		f.decisions(all[name])
		status := all[name].Status()
		if status.Name == "" {
			continue // no gate has this name any more
		}
		f.state(&status)
		f.control(&status)
		f.sources(&status)
	}
	return f.text()
}

// figures are lines on their way.
type figures struct {
	gate  string              // whose are added
	lines map[string][]string // by metric
	known map[string]bool     // metrics with their labels: gates of one name may have routes and keys of one name
}

// kinds are the metrics in the order they are written, and their types.
var kinds = []struct{ name, kind, help string }{
	{"decisions_total", "counter", "Decisions by route (empty: none matched), mode, verdict, reason and action."},
	{"unbound_total", "counter", "Tokens without pay that a bound route accepted, as its missing_pay allows."},
	{"config_last_success_timestamp_seconds", "gauge", "When the policy in force was taken into force, Unix seconds."},
	{"config_failing", "gauge", "1 when policy or keys could not be loaded again and older ones are in force."},
	{"keys", "gauge", "Keys of the policy in force, by whether they are inside their window."},
	{"key_usable", "gauge", "Keys of this name that are inside their window."},
	{"key_not_after_timestamp_seconds", "gauge", "When the key's window ends, Unix seconds; absent where it does not."},
	{"key_tokens_total", "counter", "Tokens that keys of this name have opened; expired ones do not count."},
	{"control_active", "gauge", "1 while an override in this slot lasts; while both do, local wins."},
	{"control_until_timestamp_seconds", "gauge", "When the override in this slot ends, Unix seconds; absent where none lasts or it has no end."},
	{"control_version", "gauge", "Version of the control document in this slot; 0: there never was one."},
	{"route_mode", "gauge", "Always 1; the labels are the route (empty: none matched), the mode in force and whose it is: policy, local or remote. Exempt routes have none."},
	{"route_rollout_percent", "gauge", "Percent of the devices that mode enforce holds for on this route."},
	{"source_up", "gauge", "1 when the last attempt to read this source of keys or control brought something good; absent before the first."},
	{"source_last_success_timestamp_seconds", "gauge", "When this source last brought something good, in this run or an earlier one, Unix seconds."},
	{"source_fetches_total", "counter", "Attempts to fetch from this source, by result: success or failure."},
}

func (f *figures) text() string {
	var b strings.Builder
	for _, k := range kinds {
		if len(f.lines[k.name]) == 0 {
			continue
		}
		name := "approovgate_" + k.name
		b.WriteString("# HELP " + name + " " + k.help + "\n# TYPE " + name + " " + k.kind + "\n")
		for _, line := range f.lines[k.name] {
			b.WriteString(name + line + "\n")
		}
	}
	return b.String()
}

// add notes a value with its labels: names and values by turns.
func (f *figures) add(name string, value float64, labels ...string) {
	text := `{gate="` + escape.Replace(f.gate) + `"`
	for i := 0; i+1 < len(labels); i += 2 {
		text += "," + labels[i] + `="` + escape.Replace(labels[i+1]) + `"`
	}
	if f.known[name+text] {
		return
	}
	f.known[name+text] = true
	f.lines[name] = append(f.lines[name], text+"} "+strconv.FormatFloat(value, 'g', -1, 64))
}

var escape = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)

func (f *figures) decisions(k *gate.Kin) {
	for _, n := range k.Counters() {
		f.add("decisions_total", float64(n.N), "route", n.Route, "mode", string(n.Mode),
			"verdict", string(n.Verdict), "reason", string(n.Reason), "action", string(n.Action))
	}
	for _, n := range k.BindingCounts() {
		if n.Unbound > 0 {
			f.add("unbound_total", float64(n.Unbound), "route", n.Route)
		}
	}
}

// state is what is known of the policy and its keys. A set has several keys of one name.
func (f *figures) state(status *gate.Status) {
	f.add("config_last_success_timestamp_seconds", seconds(status.Loaded))
	f.add("config_failing", one(status.Failing))
	all := map[bool]int{}
	usable := map[string]int{}
	for _, key := range status.Keys {
		all[key.Usable]++
		if key.Usable {
			usable[key.Name]++
		}
	}
	f.add("keys", float64(all[false]), "usable", "false")
	f.add("keys", float64(all[true]), "usable", "true")
	told := map[string]bool{}
	for _, key := range status.Keys {
		if told[key.Name] {
			continue
		}
		told[key.Name] = true
		f.add("key_usable", float64(usable[key.Name]), "key", key.Name)
		f.add("key_tokens_total", float64(key.Tokens), "key", key.Name)
		if !key.NotAfter.IsZero() {
			f.add("key_not_after_timestamp_seconds", seconds(key.NotAfter), "key", key.Name)
		}
	}
}

// control is what is known of the slots, and what the routes do under them.
func (f *figures) control(status *gate.Status) {
	for _, slot := range []gate.Slot{gate.Local, gate.Remote} {
		c := status.Local
		if slot == gate.Remote {
			c = status.Remote
		}
		active := !c.At(status.Now).Empty()
		f.add("control_active", one(active), "slot", slots[slot])
		f.add("control_version", float64(c.Version), "slot", slots[slot])
		if active && !c.Until.IsZero() {
			f.add("control_until_timestamp_seconds", seconds(c.Until), "slot", slots[slot])
		}
	}
	for _, route := range status.Routes {
		if !route.Exempt {
			f.add("route_mode", 1, "route", route.Name, "mode", string(route.Mode), "says", route.Says)
			f.add("route_rollout_percent", float64(route.Rollout), "route", route.Name)
		}
	}
}

// sources is what became of the sources of keys and control.
func (f *figures) sources(status *gate.Status) {
	if status.File != "" {
		f.add("source_up", one(status.FileProblem == ""), "source", "control.file")
	}
	for _, s := range status.Sources {
		if s.Tries > 0 {
			f.add("source_up", one(s.Failure == ""), "source", s.Name)
		}
		if !s.Good.IsZero() {
			f.add("source_last_success_timestamp_seconds", seconds(s.Good), "source", s.Name)
		}
		f.add("source_fetches_total", float64(s.Tries-s.Fails), "source", s.Name, "result", "success")
		f.add("source_fetches_total", float64(s.Fails), "source", s.Name, "result", "failure")
	}
}

func one(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

func seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

// expvarName is where Traefik's /debug/vars shows the decisions of each gate, by the policy's name.
const expvarName = "approovgate"

// publish shows what is not shown yet. The map may be there already: another plugin of the same process has made it.
// mu is held.
func (g *gates) publish() {
	if expvar.Get(expvarName) == nil {
		expvar.NewMap(expvarName)
	}
	published, ok := expvar.Get(expvarName).(*expvar.Map)
	if !ok {
		return // somebody else's name
	}
	for name, k := range g.kin {
		if published.Get(name) == nil {
			published.Set(name, expvar.Func(decisionsOf(k)))
		}
	}
}

func unpublish(name string) {
	if published, ok := expvar.Get(expvarName).(*expvar.Map); ok {
		published.Delete(name)
	}
}

// decisionsOf returns what tells the decisions made under one name.
func decisionsOf(k *gate.Kin) func() interface{} {
	return func() interface{} {
		all := []map[string]interface{}{}
		for _, n := range k.Counters() {
			all = append(all, map[string]interface{}{"route": n.Route, "mode": string(n.Mode), "verdict": string(n.Verdict),
				"reason": string(n.Reason), "action": string(n.Action), "count": n.N})
		}
		return all
	}
}
