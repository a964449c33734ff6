package host

import (
	"sort"
	"strings"
)

// client is what the report knows a client by: words of its own, cut and cleaned.
type client struct {
	Route   string // empty: no route matched
	Family  string // of its User-Agent, see family
	Version string // of the app, as its header says; empty: none
}

const (
	maxFamily  = 32  // bytes
	maxVersion = 24  // bytes
	mostKept   = 128 // clients in one table
)

// families are the HTTP stacks and tools whose names stand somewhere in a User-Agent, the most telling first. The
// others are known by the name that stands first, which for an app of its own making is the app's.
var families = [...]struct{ mark, name string }{
	{"okhttp/", "okhttp"}, {"CFNetwork/", "CFNetwork"}, {"Alamofire/", "Alamofire"}, {"Dart/", "Dart"}, {"Dalvik/", "Dalvik"}, {"Cronet", "Cronet"},
	{"curl/", "curl"}, {"Wget/", "Wget"}, {"python", "Python"}, {"Python", "Python"}, {"aiohttp/", "Python"}, {"Go-http-client/", "Go-http-client"},
	{"Java/", "Java"}, {"Apache-HttpClient/", "Java"}, {"PostmanRuntime/", "Postman"}, {"axios/", "axios"}, {"node", "Node.js"},
	{"bot", "bot"}, {"Bot", "bot"}, {"crawl", "bot"}, {"spider", "bot"}, {"scan", "scanner"}, {"HeadlessChrome/", "HeadlessChrome"},
	{"Edg/", "Edge"}, {"Firefox/", "Firefox"}, {"Chrome/", "Chrome"}, {"Safari/", "Safari"},
}

// tools are families that apps are not written with.
var tools = map[string]bool{"curl": true, "Wget": true, "Python": true, "Go-http-client": true, "Postman": true, "bot": true, "scanner": true, "HeadlessChrome": true, "none": true}

// family is the kind of client that a User-Agent names (RFC 9110 §10.1.5), in at most 32 plain bytes.
func family(agent string) string {
	const enough = 256 // bytes in which the name stands, if it stands anywhere
	if len(agent) > enough {
		agent = agent[:enough]
	}
	for _, f := range families {
		if strings.Contains(agent, f.mark) {
			return f.name
		}
	}
	first, _, _ := strings.Cut(strings.TrimSpace(agent), "/")
	first, _, _ = strings.Cut(first, " ")
	if first = plainWord(first, maxFamily); first != "" {
		return first
	}
	return "none"
}

// plainWord is a client's word with nothing in it that a terminal or a page could take for more.
func plainWord(text string, most int) string {
	if len(text) > most {
		text = text[:most]
	}
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._+-", r) {
			return r
		}
		return -1
	}, text)
}

// tally counts clients in bounded memory: those that come most often are in it for certain, and none is counted too
// low. A client that takes the place of another starts with its count, which over is (Metwally et al., "Efficient
// Computation of Frequent and Top-k Elements in Data Streams", 2005). So a flood of names can only raise counts.
type tally map[client]*count

type count struct{ n, over int64 }

func (t tally) add(c client, n int64) {
	if found := t[c]; found != nil {
		found.n += n
		return
	}
	fresh := &count{}
	if len(t) >= mostKept {
		var rarest client
		least := int64(-1)
		for other, counted := range t {
			if least < 0 || counted.n < least {
				rarest, least = other, counted.n
			}
		}
		delete(t, rarest)
		fresh.n, fresh.over = least, least
	}
	fresh.n += n
	t[c] = fresh
}

// sum adds what another tally holds.
func (t tally) sum(other tally) {
	for c, counted := range other {
		if found := t[c]; found != nil {
			found.n, found.over = found.n+counted.n, found.over+counted.over
		} else {
			t[c] = &count{counted.n, counted.over}
		}
	}
}

// certain are the clients that were seen at least once for certain, the most frequent first.
func (t tally) certain() []client {
	var all []client
	for c, counted := range t {
		if counted.n > counted.over {
			all = append(all, c)
		}
	}
	sort.Slice(all, func(i, j int) bool {
		a, b := all[i], all[j]
		if t[a].n != t[b].n {
			return t[a].n > t[b].n
		}
		return a.Route+"\x00"+a.Family+"\x00"+a.Version < b.Route+"\x00"+b.Family+"\x00"+b.Version
	})
	return all
}
