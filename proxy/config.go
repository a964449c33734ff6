package proxy

import (
	"log/slog"
	"net/http"
	"net/url"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"

	"github.com/approovgate/approovgate/config"
	"github.com/approovgate/approovgate/engine"
	"github.com/approovgate/approovgate/internal/host"
)

// Config is the sidecar's own file: where it listens, what it protects, how it logs, and the gate
// policy. Listen, Upstream and one of Policy and PolicyFile are required.
type Config struct {
	Listen         []Listen      // listen: one address or a list, see Listen
	TLS            TLS           // tls: the certificate of listeners that speak TLS
	H2C            bool          // h2c: listeners without TLS also take HTTP/2 from clients that begin with it; default false
	ProxyProtocol  Peers         // proxy_protocol: whose connections must begin with a PROXY header, version 1 or 2; default nobody's
	TrustedProxies Peers         // trusted_proxies: whose X-Forwarded-* and Forwarded are believed; default nobody's
	RequestID      string        // request_id: the header of request ids; default X-Request-Id, "" for none
	Upstream       Upstream      // upstream and upstream_tls: the API behind the gate
	Status         string        // status: host:port for /live, /ready and /metrics; empty: none
	Admin          Listen        // admin: unix:/path, or a port of a loopback address, for /control, /status and /report; zero: none
	AdminToken     string        // admin_token: file:PATH or env:NAME of the token that requests to a TCP address must bring; empty: it is a socket
	Log            Log           // log
	Tracing        Tracing       // tracing
	Limits         Limits        // limits
	Policy         config.Policy // policy: the gate policy, inline or as read from PolicyFile
	PolicyFile     string        // policy_file: the gate policy's own file, YAML or JSON; empty: the policy is inline
}

// Log says what is logged and how. The zero value logs JSON at level info, every line.
type Log struct {
	Level  slog.Level // log.level: debug (every decision), info (failing requests), warn or error; default info
	Text   bool       // log.format: text for people, json for machines; default json
	Access bool       // log.access: one line for each request when it ends; default false
	Sample int        // log.sample: lines a second about failing requests of one route and reason, the rest is counted; 0: all; default 100
}

// Tracing says where spans go. The zero value makes none.
type Tracing struct {
	Endpoint string  // tracing.endpoint: http(s)://host:port of a collector that takes OTLP over HTTP; empty: no spans
	Sample   float64 // tracing.sample: share of the requests that bring no trace of their own, 0 to 1; default 1
}

// changed reports whether c differs from other in what only a restart applies.
func (c Config) changed(other Config) bool {
	c.Policy, other.Policy = config.Policy{}, config.Policy{}
	c.PolicyFile, other.PolicyFile = "", ""
	return !reflect.DeepEqual(c, other)
}

// ReadConfig reads a gate file, YAML or JSON, and the policy's own file if it names one, and reports every
// problem of both at once, each with the file it is in. A relative policy_file starts at path's folder.
// Secrets and keys are not read yet: see [Proxy.Load].
func ReadConfig(path string) (Config, []config.Problem) {
	tree, problems := host.ReadTree(path)
	if config.Failed(problems) {
		return Config{}, inFile(path, problems)
	}
	c, more := DecodeConfig(tree)
	problems = inFile(path, append(problems, more...))
	c.resolve(filepath.Dir(path))
	if c.PolicyFile == "" {
		return c, problems
	}
	tree, found := host.ReadTree(c.PolicyFile)
	if !config.Failed(found) {
		t := config.NewTree(tree)
		c.Policy = config.DecodeFrom(t)
		found = append(found, t.Problems()...)
		if c.idInToken() {
			problems = append(problems, config.Problem{Path: path + ": request_id", Text: idInTokenText})
		}
	}
	return c, append(problems, inFile(c.PolicyFile, found)...)
}

// resolve makes the relative paths of c start at dir. Sockets are left alone: they belong to the process.
func (c *Config) resolve(dir string) {
	for _, path := range []*string{&c.PolicyFile, &c.TLS.Cert, &c.TLS.Key, &c.Upstream.TLS.CA, &c.Upstream.TLS.Cert, &c.Upstream.TLS.Key} {
		if *path != "" && !filepath.IsAbs(*path) {
			*path = filepath.Join(dir, *path)
		}
	}
	if path, ok := strings.CutPrefix(c.AdminToken, "file:"); ok && !filepath.IsAbs(path) {
		c.AdminToken = "file:" + filepath.Join(dir, path)
	}
}

// inFile puts the file's name before each problem's path.
func inFile(file string, problems []config.Problem) []config.Problem {
	placed := make([]config.Problem, 0, len(problems))
	for _, problem := range problems {
		if problem.Path == "" {
			problem.Path = file
		} else {
			problem.Path = file + ": " + problem.Path
		}
		placed = append(placed, problem)
	}
	return placed
}

// DecodeConfig makes a Config from a tree and reports every problem at once. It does no I/O: a
// policy_file and the files of certificates are named but not read.
func DecodeConfig(tree map[string]any) (Config, []config.Problem) {
	t := config.NewTree(tree)
	c := Config{
		TLS:            decodeTLS(t),
		H2C:            t.Bool("h2c", false),
		ProxyProtocol:  decodePeers(t, "proxy_protocol"),
		TrustedProxies: decodePeers(t, "trusted_proxies"),
		RequestID:      decodeRequestID(t),
		Upstream:       decodeUpstream(t),
		Status:         t.Text("status", ""),
		Log:            decodeLog(t.Sub("log")),
		Tracing:        decodeTracing(t.Sub("tracing")),
		Limits:         decodeLimits(t.Sub("limits")),
	}
	c.Listen = decodeListen(t, c.TLS)
	c.Admin, c.AdminToken = decodeAdmin(t)
	if c.Status != "" {
		checkAddress(t, "status", c.Status)
	}
	checkTogether(t, &c)
	checkAdmin(t, &c)
	c.Policy, c.PolicyFile = decodePolicy(t)
	if c.idInToken() {
		t.Refuse("request_id", idInTokenText)
	}
	return c, t.Problems()
}

const idInTokenText = "is the header of the token; ids are logged, tokens never; choose another"

// idInToken reports whether request ids would stand in the token's header.
func (c *Config) idInToken() bool {
	return c.RequestID != "" && engine.SameHeader(c.RequestID, c.Policy.Token.Header)
}

// checkTogether notes settings that make no sense beside each other.
func checkTogether(t *config.Tree, c *Config) {
	secure, plain := false, false
	for i, l := range c.Listen {
		if l.Address == "" {
			continue // refused already
		}
		if l.Address == c.Status && !anyPort(l.Address) {
			t.Refuse("status", "is also a listen address; give it a port of its own")
		}
		if c.Upstream.URL != nil && (l.Unix() && l.Address == c.Upstream.Socket || !l.Unix() && l.Address == addressOf(c.Upstream.URL)) {
			t.Refuse("upstream", "is listen["+strconv.Itoa(i)+"]: the gate would forward to itself")
		}
		secure, plain = secure || l.TLS, plain || !l.TLS
	}
	if c.Listen == nil {
		return
	}
	if c.TLS.Cert != "" && !secure {
		t.Refuse("tls", "is used by no address in listen; delete it, or let one begin with https://")
	}
	if c.H2C && !plain {
		t.Refuse("h2c", "is for listeners without TLS, and there is none; delete it: with TLS, HTTP/2 is always on")
	}
}

// decodeLog reads the section log.
func decodeLog(t *config.Tree) Log {
	const mostSampled = 1_000_000
	l := Log{Access: t.Bool("access", false), Sample: int(t.Int("sample", 100, 0, mostSampled))}
	l.Text = t.Choice("format", "json", "json", "text") == "text"
	// The choices are slog's own names, so this cannot fail.
	_ = l.Level.UnmarshalText([]byte(t.Choice("level", "info", "debug", "info", "warn", "error")))
	return l
}

// decodeTracing reads the section tracing.
func decodeTracing(t *config.Tree) Tracing {
	tr := Tracing{Endpoint: t.Text("endpoint", ""), Sample: 1}
	text := t.Text("sample", "1")
	share, err := strconv.ParseFloat(text, 64)
	if err != nil || !(share >= 0 && share <= 1) {
		t.Refuse("sample", "must be a share from 0 to 1, such as 0.1")
	} else {
		tr.Sample = share
	}
	if tr.Endpoint != "" {
		u, err := url.Parse(tr.Endpoint)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
			t.Refuse("endpoint", "must be the URL of a collector that takes OTLP over HTTP, such as http://127.0.0.1:4318")
		}
	}
	return tr
}

// decodeRequestID reads the name of the header of request ids, in canonical form.
func decodeRequestID(t *config.Tree) string {
	name := t.Text("request_id", "X-Request-Id")
	const allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-"
	if strings.Trim(name, allowed) != "" {
		t.Refuse("request_id", "must be the name of a header, such as X-Request-Id; \"\" switches request ids off")
		return ""
	}
	for _, taken := range reserved {
		if name != "" && engine.SameHeader(name, taken) {
			t.Refuse("request_id", "must be a header of its own; "+taken+" means something else already")
		}
	}
	return http.CanonicalHeaderKey(name)
}

// reserved are headers that cannot carry request ids: HTTP or the gate gives them a meaning, or they hold what
// no log may show.
var reserved = [...]string{"Host", "Connection", "Keep-Alive", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade", "Content-Length",
	"Content-Type", "Expect", "Authorization", "Proxy-Authorization", "Cookie", headerForwarded, headerFor, headerHost, headerPort, headerProto}

// decodePolicy reads the gate policy, or the name of its file.
func decodePolicy(t *config.Tree) (config.Policy, string) {
	inline, file := t.Has("policy"), t.Has("policy_file")
	name := t.Text("policy_file", "")
	switch {
	case inline && file:
		t.Refuse("policy_file", "stands beside policy; delete one of the two")
	case file && name == "":
		t.Refuse("policy_file", "must be the path of a YAML or JSON file")
	case !inline && !file:
		t.Refuse("policy", "is missing; write the gate policy here, or name its file in policy_file")
	}
	if !inline {
		return config.Policy{}, name
	}
	return config.DecodeFrom(t.Sub("policy")), ""
}
