package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"syscall"
	"time"
	"unicode"
	"unicode/utf16"

	"github.com/approovgate/approovgate/config"
	"github.com/approovgate/approovgate/internal/host"
	"github.com/approovgate/approovgate/source"
)

const (
	defaultAdmin = "unix:/run/approovgate/admin.sock"
	adminEnv     = "APPROOVGATE_ADMIN" // the environment variable that names another
	maxAnswer    = 8 << 20             // bytes of a gate's answer
)

const adminFlagsHelp = `  --admin ADDR       the gate's admin address, unix:/path or loopback host:port; default: admin of --config, else
                     $APPROOVGATE_ADMIN, else unix:/run/approovgate/admin.sock
  --admin-token REF  where host:port needs a token: env:NAME or file:PATH; default: admin_token of --config
  --config FILE      the gate file, to find the gate by
  --json             print the gate's answer as it is
`

// adminFlags say which gate a command is about.
type adminFlags struct {
	admin, token, config string
	json                 bool
}

func (f *adminFlags) declare(flags *flag.FlagSet) {
	flags.StringVar(&f.admin, "admin", "", "")
	flags.StringVar(&f.token, "admin-token", "", "")
	flags.StringVar(&f.config, "config", "", "")
	flags.BoolVar(&f.json, "json", false, "")
}

// adminClient talks to one gate.
type adminClient struct {
	network, address string // unix and a path, or tcp and host:port
	token            string // empty: none
	patience         time.Duration
	http             *http.Client
}

// client finds the gate. Its errors are about flags, the gate file and the token.
func (c *console) client(f adminFlags) (*adminClient, error) {
	address, reference := f.admin, f.token
	if reference != "" && !strings.HasPrefix(reference, "env:") && !strings.HasPrefix(reference, "file:") {
		return nil, misuse{errors.New("--admin-token must be env:NAME or file:PATH; a token on the command line shows in ps and in the shell's history")}
	}
	if f.config != "" {
		configured, err := c.adminOf(f.config)
		if err != nil {
			return nil, err
		}
		if address == "" && configured.admin == "" {
			return nil, fmt.Errorf("%s: admin: is missing, so this gate cannot be talked to; add admin: %s and restart the gate", f.config, defaultAdmin)
		}
		if address == "" {
			address = configured.admin
		}
		if reference == "" && !strings.HasPrefix(address, "unix:") {
			reference = configured.token
		}
	}
	if address == "" {
		address = c.getenv(adminEnv)
	}
	if address == "" {
		address = defaultAdmin
	}
	client := &adminClient{patience: c.patience}
	if err := client.dial(address); err != nil {
		return nil, err
	}
	return client, c.readToken(client, reference)
}

// adminOf reads admin and admin_token of a gate file. What else is wrong with the file does not matter here: an
// emergency may be why it is.
func (c *console) adminOf(file string) (adminFlags, error) {
	tree, problems := host.ReadTree(file)
	if config.Failed(problems) {
		return adminFlags{}, fmt.Errorf("%s: %s", file, problems[0])
	}
	var found adminFlags
	for key, into := range map[string]*string{"admin": &found.admin, "admin_token": &found.token} {
		text, isText := tree[key].(string)
		if _, there := tree[key]; there && !isText {
			return adminFlags{}, fmt.Errorf("%s: %s: must be a string", file, key)
		}
		*into = text
	}
	found.token = below(filepath.Dir(file), found.token)
	return found, nil
}

// readToken reads the bearer token, if one is named.
func (c *console) readToken(client *adminClient, reference string) error {
	if reference == "" {
		return nil
	}
	if client.network == "unix" {
		return misuse{errors.New("--admin-token is for an admin address of the kind host:port; a unix socket needs none: leave it out")}
	}
	text, warnings, err := source.Read(reference)
	if err != nil {
		return fmt.Errorf("the admin token: %w", err)
	}
	for _, warning := range warnings {
		c.warn("the admin token: " + warning)
	}
	client.token = strings.TrimRight(string(text), "\r\n")
	if client.token == "" || strings.ContainsFunc(client.token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return errors.New("the admin token must be one word on one line; write it again")
	}
	return nil
}

// dial sets what is dialled. A token, and the power to switch checks off, must not cross a network in the clear.
func (a *adminClient) dial(address string) error {
	const form = "must be unix:/path or a loopback host:port such as 127.0.0.1:9903"
	path, isUnix := strings.CutPrefix(address, "unix:")
	a.network, a.address = "unix", path
	if isUnix && path == "" {
		return misuse{errors.New("the admin address " + form)}
	}
	if !isUnix {
		name, port, err := net.SplitHostPort(address)
		if err != nil || port == "" {
			return misuse{fmt.Errorf("the admin address %q %s", address, form)}
		}
		if ip := net.ParseIP(name); name != "localhost" && (ip == nil || !ip.IsLoopback()) {
			return misuse{fmt.Errorf("the admin address %q %s; to reach another machine, run approovgate there, or forward a port with ssh -L", address, form)}
		}
		a.network, a.address = "tcp", address
	}
	var dialer net.Dialer
	a.http = &http.Client{
		Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, a.network, a.address)
		}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return nil
}

// name is the address as messages show it.
func (a *adminClient) name() string {
	if a.network == "unix" {
		return "unix:" + a.address
	}
	return a.address
}

// answer is what a gate says to a request that it has done.
type answer struct {
	text []byte
	tag  string // the entity tag; empty: none
}

// ask sends a request, with a document unless it is nil, and returns what a gate has done. Its errors are
// refusals, and what kept it from being asked.
func (a *adminClient) ask(method, path, accept, tag string, document map[string]any) (answer, error) {
	ctx, cancel := context.WithTimeout(context.Background(), a.patience)
	defer cancel()
	var body io.Reader
	if document != nil {
		text, err := json.Marshal(document)
		if err != nil {
			return answer{}, err
		}
		body = bytes.NewReader(text)
	}
	authority := "approovgate" // what a gate expects of its socket
	if a.network == "tcp" {
		authority = a.address
	}
	request, err := http.NewRequestWithContext(ctx, method, "http://"+authority+path, body)
	if err != nil {
		return answer{}, misuse{fmt.Errorf("the admin address %q must be unix:/path or a loopback host:port such as 127.0.0.1:9903", a.address)}
	}
	if document != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	request.Header.Set("Accept", accept)
	if tag != "" {
		request.Header.Set("If-Match", tag)
	}
	if a.token != "" {
		request.Header.Set("Authorization", "Bearer "+a.token)
	}
	response, err := a.http.Do(request)
	if err != nil {
		return answer{}, a.unreachable(ctx, method, err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	switch kind, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type")); {
	case err != nil:
		return answer{}, a.unreachable(ctx, method, err)
	case len(text) > maxAnswer:
		return answer{}, fmt.Errorf("the answer of %s is longer than %d bytes; %s", a.name(), maxAnswer, a.whatElse())
	case response.StatusCode != http.StatusOK:
		return answer{}, a.refused(response.StatusCode, kind, path, text)
	case kind != "application/json" && kind != accept || kind == "application/json" && !json.Valid(text):
		return answer{}, fmt.Errorf("%s does not answer %s as a gate does; %s", a.name(), path, a.whatElse())
	}
	return answer{text: text, tag: response.Header.Get("ETag")}, nil
}

// whatElse is what an address may be that does not answer as a gate's admin address does.
func (a *adminClient) whatElse() string {
	if a.network == "unix" {
		return "is this the socket that admin names in the gate file?"
	}
	return "is this the address that admin names in the gate file, and not that of listen or status?"
}

// unreachable says what to do when there is no answer.
func (a *adminClient) unreachable(ctx context.Context, method string, err error) error {
	switch {
	case ctx.Err() != nil && method != http.MethodGet:
		return fmt.Errorf("no answer from %s within %s; the gate may have made the change all the same: look with approovgate status", a.name(), a.patience)
	case ctx.Err() != nil:
		return fmt.Errorf("no answer from %s within %s; does the gate hang, or the machine?", a.name(), a.patience)
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("nothing is at %s; is the gate running, and is admin set in its gate file? --admin or --config names another address", a.name())
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("permission denied at %s; run this as the gate's user, for example: sudo -u approovgate approovgate status", a.name())
	case errors.Is(err, syscall.ECONNREFUSED) && a.network == "unix":
		return fmt.Errorf("nobody listens at %s; the gate has ended and left its socket behind: start it again", a.name())
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("nobody listens at %s; is the gate running, and is admin set in its gate file?", a.name())
	}
	var at *net.OpError
	if errors.As(err, &at) {
		err = at.Err
	}
	return fmt.Errorf("%s cannot be talked to: %v; %s", a.name(), err, a.whatElse())
}

// refused makes an error of an answer that is not 200.
func (a *adminClient) refused(status int, kind, path string, text []byte) error {
	r := refusal{status: status}
	told := kind == "application/problem+json" && json.Unmarshal(text, &r) == nil
	switch {
	case status == http.StatusUnauthorized && told && a.token == "":
		return fmt.Errorf("%s asks for a token; give --admin-token file:PATH or env:NAME, or --config FILE with the gate file", a.name())
	case status == http.StatusUnauthorized && told:
		return fmt.Errorf("%s does not take the token; is it the one that admin_token names in the gate file?", a.name())
	case !told && (status == http.StatusNotFound || status == http.StatusMethodNotAllowed):
		return fmt.Errorf("%s answers %d to %s; is its gate an older version? Or %s", a.name(), status, path, a.whatElse())
	case !told:
		return fmt.Errorf("%s answers %d to %s; %s", a.name(), status, path, a.whatElse())
	}
	return &r
}

// refusal is a gate's word on what it has not done (RFC 9457).
type refusal struct {
	Title    string           `json:"title"`
	Problems []refusalProblem `json:"problems"`
	status   int
}

type refusalProblem struct {
	Path string `json:"path"`
	Text string `json:"text"`
}

func (r *refusal) Error() string { return strings.Join(r.lines(), "; ") }

// lines are the problems.
func (r *refusal) lines() []string {
	if len(r.Problems) == 0 {
		return []string{fmt.Sprintf("the gate refuses it: %s (%d)", r.Title, r.status)}
	}
	var lines []string
	for _, p := range r.Problems {
		lines = append(lines, config.Problem{Path: p.Path, Text: p.Text}.String())
	}
	return lines
}

// printJSON prints a gate's JSON as it is. Characters that could steer a terminal are written as JSON's escapes:
// they can only stand in its strings.
func (c *console) printJSON(text []byte) {
	var out strings.Builder
	for _, r := range string(bytes.TrimRight(text, "\n")) {
		if r <= '~' || unicode.IsPrint(r) {
			out.WriteRune(r)
			continue
		}
		for _, half := range utf16.Encode([]rune{r}) {
			fmt.Fprintf(&out, `\u%04x`, half)
		}
	}
	fmt.Fprintln(c.stdout, out.String())
}
