package proxy

import (
	"io"
	"net/http"
	"strings"

	"github.com/approovgate/approovgate/internal/h1"
)

// relay forwards the plain kind of request, which is nearly every one, to an upstream that speaks HTTP/1.1
// without TLS: it does what ReverseProxy does, without its copies of the request and its headers, and over
// connections that need no goroutines of their own.
type relay struct {
	upstream  *upstreamSide
	requestID string // the header that stays whatever Connection names; empty: none
	buffers   *bufferPool
	accept    func(*http.Response) error // may refuse a response, or add to it
	failed    func(http.ResponseWriter, *http.Request, error)
}

// takes reports whether a request is of the plain kind: no other protocol is asked for, and no content or a
// little of known length, without more ado than that.
func (f *relay) takes(r *http.Request) bool {
	if f.upstream.lean == nil || r.ContentLength < 0 || r.ContentLength > h1.MaxContent || r.Trailer != nil {
		return false
	}
	h := r.Header
	_, upgrade := h["Upgrade"]
	_, expect := h["Expect"]
	return !upgrade && !expect
}

// pass forwards a request that takes has accepted, and changes it. It reports false, and has answered nothing,
// when the request got no place. The place is held from when all of the request is there, since a slow client
// must take none, until the upstream has done its part.
func (f *relay) pass(w http.ResponseWriter, r *http.Request, at *place) bool {
	f.prepare(r)
	response, err := f.upstream.exchange(r, h1.Hooks{
		Ready: func() error { return at.enter(r.Context()) },
		Interim: func(status int, header http.Header) error {
			interim(w, status, header)
			return nil
		},
	})
	switch {
	case err == errNoPlace:
		return false
	case err != nil:
		f.failed(w, r, err)
	default:
		f.answer(w, r, response, at)
	}
	return true
}

// interim passes an interim response on, whose header is its own (RFC 9110 §15.2).
func interim(w http.ResponseWriter, status int, header http.Header) {
	to := w.Header()
	mine := to["Connection"] // says "close" while draining
	copyHeader(to, header)
	w.WriteHeader(status)
	clear(to)
	if mine != nil {
		to["Connection"] = mine
	}
}

// answer passes the response on.
func (f *relay) answer(w http.ResponseWriter, r *http.Request, response *http.Response, at *place) {
	defer response.Body.Close() // at its end already, unless something fails
	removeHopByHop(response.Header)
	if err := f.accept(response); err != nil {
		f.failed(w, r, err)
		return
	}
	if streams(response) {
		at.leave()
	}
	to := w.Header()
	copyHeader(to, response.Header)
	announced := len(response.Trailer)
	for name := range response.Trailer {
		to.Add("Trailer", name)
	}
	w.WriteHeader(response.StatusCode)
	if err := f.copy(w, response, at); err != nil {
		panic(http.ErrAbortHandler) // the client must see that the response is not whole
	}
	if len(response.Trailer) > 0 {
		finishTrailers(w, response.Trailer, announced)
	}
}

// prepare makes a request the one that the upstream gets. What the client says about this connection ends
// here (RFC 9110 §7.6.1); what is the gate's own stays, even if the client names it.
func (f *relay) prepare(r *http.Request) {
	h := r.Header
	trailers := hasToken(h["Te"], "trailers")
	if lines, ok := h["Connection"]; ok {
		kept := h[f.requestID]
		var origin [len(originHeaders)][]string
		for i, name := range originHeaders {
			origin[i] = h[name]
		}
		removeNamed(h, lines)
		for i, name := range originHeaders {
			h[name] = origin[i]
		}
		if f.requestID != "" {
			h[f.requestID] = kept
		}
	}
	removeFixed(h)
	if trailers {
		h["Te"] = []string{"trailers"}
	}
	if _, ok := h["User-Agent"]; !ok {
		h["User-Agent"] = nil // not even the transport's own
	}
	r.Close = false
	r.URL.Scheme, r.URL.Host, r.URL.User = "http", f.upstream.config.URL.Host, nil
}

// copy passes the response's content on as it arrives, and leaves the place when all of it has.
func (f *relay) copy(w http.ResponseWriter, response *http.Response, at *place) error {
	if response.Body == http.NoBody {
		return nil
	}
	if body, ok := response.Body.(interface{ Arrived() bool }); !ok || !body.Arrived() {
		_ = http.NewResponseController(w).Flush() // the header does not wait for the content; an error comes again
	}
	buf := f.buffers.Get()
	defer f.buffers.Put(buf)
	for more := false; ; more = true {
		n, err := response.Body.Read(buf)
		if err == io.EOF {
			at.leave()
		} else if !more {
			w = newPlaceWriter(w, at) // there is more to come, and the client may be slow
		}
		if n > 0 {
			if _, err := w.Write(buf[:n]); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		if n > 0 {
			// Nobody knows when the rest comes.
			if err := http.NewResponseController(w).Flush(); err != nil {
				return err
			}
		}
	}
}

// finishTrailers sets the trailers that came behind the content. Those that were not announced need net/http's prefix.
func finishTrailers(w http.ResponseWriter, trailers http.Header, announced int) {
	// Forces chunks: for a short body net/http would compute a Content-Length, and send no trailers.
	_ = http.NewResponseController(w).Flush() // a client that is gone gets none
	to := w.Header()
	prefix := ""
	if len(trailers) != announced {
		prefix = http.TrailerPrefix
	}
	for name, values := range trailers {
		to[prefix+name] = append(to[prefix+name], values...)
	}
}

// copyHeader adds what from has to to. Values are shared: neither side changes them.
func copyHeader(to, from http.Header) {
	for name, values := range from {
		if mine, ok := to[name]; ok {
			values = append(mine[:len(mine):len(mine)], values...)
		}
		to[name] = values
	}
}

// removeHopByHop deletes what concerns one connection only (RFC 9110 §7.6.1).
func removeHopByHop(h http.Header) {
	if lines, ok := h["Connection"]; ok {
		removeNamed(h, lines)
	}
	removeFixed(h)
}

// removeNamed deletes the headers that Connection names.
func removeNamed(h http.Header, lines []string) {
	for _, line := range lines {
		for _, name := range strings.Split(line, ",") {
			if name = strings.Trim(name, " \t"); name != "" {
				h.Del(name)
			}
		}
	}
}

// removeFixed deletes the headers that are of one connection even if nothing names them.
func removeFixed(h http.Header) {
	for _, name := range [...]string{"Connection", "Proxy-Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization",
		"Te", "Trailer", "Transfer-Encoding", "Upgrade"} {
		delete(h, name)
	}
}

// hasToken reports whether a list header has a member, in any letter case.
func hasToken(lines []string, token string) bool {
	for _, line := range lines {
		for _, member := range strings.Split(line, ",") {
			if strings.EqualFold(strings.Trim(member, " \t"), token) {
				return true
			}
		}
	}
	return false
}
