package proxy

import (
	"net/url"
	"strings"

	"github.com/approovgate/approovgate/config"
)

// Upstream is the API behind the gate: http://host:port, https://host:port, h2c://host:port (HTTP/2 without
// TLS) or unix:/path (HTTP/1.1). The zero value is none.
type Upstream struct {
	Text   string      // as written in the file, for people
	URL    *url.URL    // scheme http or https, and the host that is dialed; nil: refused
	Socket string      // unix: the path that is dialed instead; empty: the host
	H2C    bool        // HTTP/2 with prior knowledge
	TLS    UpstreamTLS // upstream_tls
}

// UpstreamTLS is how an https upstream is verified, and how the gate proves itself to it. The zero value
// verifies against the system's authorities and the URL's host. The files are read again when they change.
type UpstreamTLS struct {
	CA         string // upstream_tls.ca: file of the authorities, PEM, in place of the system's
	Cert       string // upstream_tls.cert: file of a client certificate and its chain, PEM
	Key        string // upstream_tls.key: file of its private key, PEM
	ServerName string // upstream_tls.server_name: name to ask for and to verify, in place of the URL's host
}

// lean reports whether the upstream speaks HTTP/1.1 without TLS, and nothing else.
func (u *Upstream) lean() bool { return u.URL.Scheme == "http" && !u.H2C }

// decodeUpstream reads upstream and upstream_tls; its URL is nil when refused.
func decodeUpstream(t *config.Tree) Upstream {
	u := decodeUpstreamURL(t)
	sub := t.Sub("upstream_tls")
	u.TLS = UpstreamTLS{CA: sub.Text("ca", ""), Cert: sub.Text("cert", ""), Key: sub.Text("key", ""), ServerName: sub.Text("server_name", "")}
	if (u.TLS.Cert == "") != (u.TLS.Key == "") {
		sub.Refuse("", "needs cert and key together, or neither")
	}
	if u.URL != nil && u.URL.Scheme != "https" && u.TLS != (UpstreamTLS{}) {
		sub.Refuse("", "is for an https upstream; delete it, or write upstream: https://host:port")
	}
	return u
}

func decodeUpstreamURL(t *config.Tree) Upstream {
	const want = "must be http://host:port, https://host:port, h2c://host:port or unix:/path"
	if !t.Has("upstream") {
		t.Refuse("upstream", "is missing; it "+want)
		return Upstream{}
	}
	const noText = "\x00" // what is no string has been noted by Text already
	text := t.Text("upstream", noText)
	if text == noText {
		return Upstream{}
	}
	if path, ok := strings.CutPrefix(text, "unix:"); ok {
		checkSocket(t, "upstream", path)
		return Upstream{Text: text, URL: &url.URL{Scheme: "http", Host: "localhost"}, Socket: path}
	}
	u, err := url.Parse(text)
	switch {
	case err != nil, u.Scheme != "http" && u.Scheme != "https" && u.Scheme != "h2c", u.Hostname() == "":
		t.Refuse("upstream", want)
	case u.Port() != "" && !isPort(u.Port()):
		t.Refuse("upstream", "must have a port number from 0 to 65535")
	case u.User != nil:
		t.Refuse("upstream", "must not hold a user name or password")
	case u.Path != "" && u.Path != "/":
		t.Refuse("upstream", "must not have a path: requests are forwarded with the path that was checked; delete it")
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		t.Refuse("upstream", "must not have a query or fragment; delete it")
	default:
		up := Upstream{Text: text, H2C: u.Scheme == "h2c", URL: u}
		if up.H2C {
			u.Scheme = "http"
		}
		u.Path = ""
		return up
	}
	return Upstream{}
}
