package conformance

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"time"
)

// A case file is
//
//	name: expired token is denied
//	about: T21, R113
//	now: 2027-01-15T08:00:00Z
//	verdict: fail
//	action: reject
//	reason: token_expired
//	status: 401
//	--- policy
//	{"keys": […]}
//	--- request
//	GET /v1/x HTTP/1.1
//	Host: api.example.com
//
//	and the body, if any
//
// Each header key is a field of Case or Want; an unknown one is an error. In the request \xHH, \n, \r, \t and
// \\ stand for single bytes. A line end means CRLF up to and including the first empty line, and LF in the
// body; the line end that closes the file is not part of the body.
const (
	policyLine  = "--- policy\n"
	requestLine = "\n--- request\n"

	maxFile = 1 << 20 // bytes of a case file
)

// Load reads every .txt file below dir, sorted by path. The first file that cannot be read or parsed, or a
// name used twice, is an error.
func Load(dir string) ([]Case, error) {
	var cases []Case
	named := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Ext(path) != ".txt" {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if len(text) > maxFile {
			return fmt.Errorf("%s: %d bytes, at most %d are read", path, len(text), maxFile)
		}
		c, err := Parse(string(text))
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		relative, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		c.File = strings.TrimSuffix(filepath.ToSlash(relative), ".txt")
		if other, ok := named[c.Name]; ok {
			return fmt.Errorf("%s: the name %q is that of %s; each case needs its own", path, c.Name, other)
		}
		named[c.Name] = path
		cases = append(cases, c)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("load corpus: %w", err)
	}
	if len(cases) == 0 {
		return nil, fmt.Errorf("load corpus: %s holds no .txt file", dir)
	}
	sort.Slice(cases, func(i, j int) bool { return cases[i].File < cases[j].File })
	return cases, nil
}

// Parse reads one case file. Case.File is left empty.
func Parse(text string) (Case, error) {
	head, rest, ok := strings.Cut(text, policyLine)
	if !ok {
		return Case{}, fmt.Errorf("no line %q", strings.TrimSpace(policyLine))
	}
	policy, request, ok := strings.Cut(rest, requestLine)
	if !ok {
		return Case{}, fmt.Errorf("no line %q", strings.TrimSpace(requestLine))
	}
	var c Case
	if err := c.parseHead(head); err != nil {
		return Case{}, err
	}
	if err := c.Want.valid(); err != nil {
		return Case{}, err
	}
	if !json.Valid([]byte(policy)) {
		return Case{}, fmt.Errorf("the policy is not JSON")
	}
	c.Policy = policy
	var err error
	c.Request, err = parseRequest(request)
	return c, err
}

func (c *Case) parseHead(head string) error {
	seen := map[string]bool{}
	for i, line := range strings.SplitAfter(head, "\n") {
		if line == "" {
			break
		}
		key, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		if !ok || value == "" || value != strings.TrimSpace(value) || !strings.HasSuffix(line, "\n") {
			return fmt.Errorf("line %d: want \"key: value\", got %q", i+1, line)
		}
		if seen[key] && key != "forwarded-headers" && key != "hop-headers" {
			return fmt.Errorf("line %d: %s is given twice", i+1, key)
		}
		seen[key] = true
		if err := c.set(key, value); err != nil {
			return fmt.Errorf("line %d: %s: %w", i+1, key, err)
		}
	}
	for _, key := range []string{"name", "about", "now"} {
		if !seen[key] {
			return fmt.Errorf("no line \"%s: …\"", key)
		}
	}
	return nil
}

// aboutItem is the id of a row or of a published request.
var aboutItem = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9-]*$`)

func (c *Case) set(key, value string) (err error) {
	if field := c.text(key); field != nil {
		*field = value
		return nil
	}
	switch key {
	case "about":
		c.About = strings.Split(value, ", ")
		for _, item := range c.About {
			if !aboutItem.MatchString(item) {
				return fmt.Errorf("want ids separated by a comma and a space, got %q", item)
			}
		}
	case "now":
		c.Now, err = time.Parse(time.RFC3339Nano, value)
		if err == nil && c.Now.Format(time.RFC3339Nano) != value {
			err = fmt.Errorf("want canonical RFC 3339 such as 2027-01-15T08:00:00Z, got %q", value)
		}
	case "sizes":
		c.AllSizes = true
		err = oneOf(value, "all")
	case "pad-routes":
		c.PadRoutes, err = count(value, 1, 10_000)
	case "pad-hosts":
		c.PadHosts, err = count(value, 1, 10_000)
	case "status":
		c.Want.Status, err = count(value, 200, 599)
	case "unbound":
		c.Want.Unbound = true
		err = oneOf(value, "true")
	case "forwarded-headers", "hop-headers":
		name, expect, ok := strings.Cut(value, "=")
		if !ok || name == "" || expect == "" {
			return fmt.Errorf("want Name=%s, Name=%s or Name=value, got %q", Present, Absent, value)
		}
		list := &c.Want.Headers
		if key == "hop-headers" {
			list = &c.Want.HopHeaders
		}
		*list = append(*list, HeaderExpect{Name: name, Value: expect})
	default:
		return fmt.Errorf("unknown key; see the format in internal/conformance/format.go")
	}
	return err
}

// text is the plain text field of a header key; nil: there is none.
func (c *Case) text(key string) *string {
	switch key {
	case "name":
		return &c.Name
	case "scheme":
		return &c.Scheme
	case "peer":
		return &c.Peer
	case "refused-by":
		return &c.Want.RefusedBy
	case "problem":
		return &c.Want.Problem
	case "verdict":
		return &c.Want.Verdict
	case "action":
		return &c.Want.Action
	case "reason":
		return &c.Want.Reason
	case "body":
		return &c.Want.Body
	case "mode":
		return &c.Want.Mode
	case "route":
		return &c.Want.Route
	case "key":
		return &c.Want.Key
	case "forwarded-target":
		return &c.Want.Target
	case "forwarded-host":
		return &c.Want.Host
	}
	return nil
}

func oneOf(value string, allowed ...string) error {
	for _, a := range allowed {
		if value == a {
			return nil
		}
	}
	return fmt.Errorf("want %s, got %q", strings.Join(allowed, " or "), value)
}

func count(value string, least, most int) (int, error) {
	n, err := strconv.Atoi(value)
	if err != nil || n < least || n > most || strconv.Itoa(n) != value {
		return 0, fmt.Errorf("want a number from %d to %d, got %q", least, most, value)
	}
	return n, nil
}

// valid reports expectations that contradict themselves or compare nothing.
func (w Want) valid() error {
	switch w.RefusedBy {
	case RefusedByPolicy:
		if w.Problem == "" || w.Verdict+w.Action+w.Reason != "" || w.Status != 0 {
			return fmt.Errorf("refused-by: policy needs a problem, and no verdict, action, reason or status")
		}
		return nil
	case RefusedByHost:
		if w.Status != 400 || w.Action != "reject" || w.Verdict+w.Reason != "" {
			return fmt.Errorf("refused-by: host needs status 400 and action reject, and no verdict or reason")
		}
		return nil
	case "":
	default:
		return fmt.Errorf("refused-by: want host or policy, got %q", w.RefusedBy)
	}
	if err := oneOf(w.Verdict, "pass", "fail", "none"); err != nil {
		return fmt.Errorf("verdict: %w", err)
	}
	if err := oneOf(w.Action, "forward", "reject"); err != nil {
		return fmt.Errorf("action: %w", err)
	}
	if w.Reason == "" {
		return fmt.Errorf("no line \"reason: …\"")
	}
	if (w.Action == "forward") != (w.Status == 200) {
		return fmt.Errorf("status: got %d with action %s; forwarded requests are answered 200, others not", w.Status, w.Action)
	}
	if w.Action == "reject" && w.Target+w.Host != "" || w.Action == "reject" && len(w.Headers)+len(w.HopHeaders) > 0 {
		return fmt.Errorf("a rejected request forwards nothing: remove the forwarded-… lines")
	}
	return nil
}
