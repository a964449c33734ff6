package proxy

import (
	"io"
	"log/slog"
	"net"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/approovgate/approovgate/config"
	"github.com/approovgate/approovgate/internal/host"
)

// Config is the sidecar's own file: where it listens, what it protects, how it logs, and the gate
// policy. Listen, Upstream and one of Policy and PolicyFile are required.
type Config struct {
	Listen     []string      // listen: host:port, one or a list; an empty host means all addresses
	Upstream   *url.URL      // upstream: http://host:port or https://host:port, without a path
	Status     string        // status: host:port for /live, /ready and /metrics; empty: none
	Log        Log           // log
	Policy     config.Policy // policy: the gate policy, inline or as read from PolicyFile
	PolicyFile string        // policy_file: the gate policy's own file, YAML or JSON; empty: the policy is inline
}

// Log says what is logged and how. The zero value logs JSON at level info.
type Log struct {
	Level slog.Level // log.level: debug (every request), info (failing requests), warn or error; default info
	Text  bool       // log.format: text for people, json for machines; default json
}

// changed reports whether c differs from other in what only a restart applies.
func (c Config) changed(other Config) bool {
	return !slices.Equal(c.Listen, other.Listen) || c.Status != other.Status || c.Log != other.Log ||
		c.Upstream != nil && *c.Upstream != *other.Upstream
}

// NewLogger returns the logger that l describes. Both formats escape control characters, so that no
// request can forge a line.
func NewLogger(w io.Writer, l Log) *slog.Logger {
	options := &slog.HandlerOptions{Level: l.Level}
	if l.Text {
		return slog.New(slog.NewTextHandler(w, options))
	}
	return slog.New(slog.NewJSONHandler(w, options))
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
	if c.PolicyFile == "" {
		return c, problems
	}
	if !filepath.IsAbs(c.PolicyFile) {
		c.PolicyFile = filepath.Join(filepath.Dir(path), c.PolicyFile)
	}
	tree, found := host.ReadTree(c.PolicyFile)
	if !config.Failed(found) {
		t := config.NewTree(tree)
		c.Policy = config.DecodeFrom(t)
		found = append(found, t.Problems()...)
	}
	return c, append(problems, inFile(c.PolicyFile, found)...)
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
// policy_file is named but not read.
func DecodeConfig(tree map[string]any) (Config, []config.Problem) {
	t := config.NewTree(tree)
	c := Config{Listen: listen(t), Upstream: upstream(t), Status: t.Text("status", "")}
	if c.Status != "" {
		checkAddress(t, "status", c.Status)
	}
	for i, address := range c.Listen {
		if address == c.Status && !anyPort(address) {
			t.Refuse("status", "is also a listen address; give it a port of its own")
		}
		if c.Upstream != nil && address == c.Upstream.Host {
			t.Refuse("upstream", "is listen["+strconv.Itoa(i)+"]: the gate would forward to itself")
		}
	}
	l := t.Sub("log")
	c.Log.Text = l.Choice("format", "json", "json", "text") == "text"
	// The choices are slog's own names, so this cannot fail.
	_ = c.Log.Level.UnmarshalText([]byte(l.Choice("level", "info", "debug", "info", "warn", "error")))
	c.Policy, c.PolicyFile = policy(t)
	return c, t.Problems()
}

// listen reads the addresses that take requests.
func listen(t *config.Tree) []string {
	if !t.Has("listen") {
		t.Refuse("listen", "is missing; give host:port, such as 127.0.0.1:8080")
		return nil
	}
	addresses := t.List("listen")
	seen := map[string]bool{}
	for i, address := range addresses {
		field := "listen[" + strconv.Itoa(i) + "]"
		checkAddress(t, field, address)
		if seen[address] && !anyPort(address) {
			t.Refuse(field, "is there twice; delete one")
		}
		seen[address] = true
	}
	if addresses != nil && len(addresses) == 0 {
		t.Refuse("listen", "is empty; give host:port, such as 127.0.0.1:8080")
	}
	return addresses
}

// anyPort reports whether the system chooses the port, so that two equal addresses are not the same.
func anyPort(address string) bool { return strings.HasSuffix(address, ":0") }

// checkAddress notes what keeps address from being host:port.
func checkAddress(t *config.Tree, field, address string) {
	name, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Refuse(field, "must be host:port, such as 127.0.0.1:8080 or :8080")
		return
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		t.Refuse(field, "must end in a port number from 0 to 65535")
	}
	if strings.ContainsAny(name, "/@?# ") {
		t.Refuse(field, "must be host:port; the host is an address or a name")
	}
}

// upstream reads the URL of the API behind the gate; nil when it is refused.
func upstream(t *config.Tree) *url.URL {
	const want = "must be http://host:port or https://host:port"
	if !t.Has("upstream") {
		t.Refuse("upstream", "is missing; it "+want)
		return nil
	}
	const noText = "\x00" // what is no string has been noted by Text already
	text := t.Text("upstream", noText)
	if text == noText {
		return nil
	}
	u, err := url.Parse(text)
	switch {
	case err != nil, u.Scheme != "http" && u.Scheme != "https", u.Hostname() == "":
		t.Refuse("upstream", want)
	case u.User != nil:
		t.Refuse("upstream", "must not hold a user name or password")
	case u.Path != "" && u.Path != "/":
		t.Refuse("upstream", "must not have a path: requests are forwarded with the path that was checked; delete it")
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		t.Refuse("upstream", "must not have a query or fragment; delete it")
	default:
		return u
	}
	return nil
}

// policy reads the gate policy, or the name of its file.
func policy(t *config.Tree) (config.Policy, string) {
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
