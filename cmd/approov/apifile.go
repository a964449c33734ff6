package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"slices"
	"strings"

	"github.com/approovgate/approovgate/attestapi"
	"github.com/approovgate/approovgate/internal/manageclient"
	"github.com/approovgate/approovgate/pins"
)

// What stands among the pins of a domain in a file, and is none. Only jwe is the manual's; with the others a file holds
// all that a domain is.
const (
	fileJWE     = "jwe"
	fileNoToken = "no-token"
	fileKey     = "key:"
)

// saveDomains does what the manual has in "Getting Pin Configuration".
func (c *call) saveDomains() error {
	var list attestapi.Domains
	answer, err := c.read("getting API domains", attestapi.PathDomains, nil, &list)
	if err != nil {
		return err
	}
	text, err := formatDomains(list.Domains)
	if err != nil {
		return err
	}
	if c.value() == "-" {
		_, err := io.WriteString(c.stdout, escaped(string(text)))
		return err
	}
	if err := writePublic(c.value(), text); err != nil {
		return err
	}
	if !c.printIfJSON(answer) {
		c.say("API domains and pins written to JSON file %s", c.value())
	}
	return nil
}

// formatDomains is domains as a file, in order of their names.
func formatDomains(all []attestapi.APIDomain) ([]byte, error) {
	file := map[string][]string{}
	for _, d := range all {
		entries := []string{}
		switch {
		case d.Format == "jwe":
			entries = append(entries, fileJWE)
		case d.Format == "none":
			entries = append(entries, fileNoToken)
		}
		if d.KeyID != "" {
			entries = append(entries, fileKey+d.KeyID)
		}
		file[d.Domain] = append(entries, d.Pins...)
	}
	text, err := json.MarshalIndent(file, "", "    ")
	return append(text, '\n'), err
}

// parseDomains reads a file of domains and their pins. What package json would let pass in silence, a domain that
// stands there twice or a list that is null, is an error here: it might cut off an app. Errors name the line.
func parseDomains(text []byte) ([]attestapi.APIDomain, error) {
	text = bytes.TrimPrefix(text, []byte("\ufeff")) // RFC 8259 §8.1: may be ignored
	var whole json.RawMessage
	if err := json.Unmarshal(text, &whole); err != nil {
		at := int64(len(text))
		if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
			at = syntax.Offset
		}
		return nil, fmt.Errorf("line %d: not well formed JSON: %w", lineAt(text, at), err)
	}
	r := &domainReader{text: text, tokens: json.NewDecoder(bytes.NewReader(text))}
	if r.next() != json.Delim('{') {
		return nil, r.wrong("want an object of domains and their pins, such as {\"api.example.com\": [\"%s\"]}", examplePin)
	}
	all := []attestapi.APIDomain{}
	for {
		name, more := r.next().(string)
		if !more {
			return all, nil // the closing brace: the text is well formed
		}
		d, err := r.domain(name)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(all, func(have attestapi.APIDomain) bool { return have.Domain == d.Domain }) {
			return nil, r.wrong("%s stands there twice; delete one", d.Domain)
		}
		all = append(all, d)
	}
}

const examplePin = "Q62DnTGJsy1h+ude8HB5ZjKy0Vhg2pvTzjplWSD3hkk="

// lineAt is the line of an offset, from 1.
func lineAt(text []byte, offset int64) int {
	return 1 + bytes.Count(text[:min(offset, int64(len(text)))], []byte("\n"))
}

// domainReader reads well-formed text.
type domainReader struct {
	text   []byte
	tokens *json.Decoder
}

// next is the next token; nil also at the end.
func (r *domainReader) next() json.Token {
	token, _ := r.tokens.Token() // the text is well formed
	return token
}

// wrong is an error about what was read last.
func (r *domainReader) wrong(format string, args ...any) error {
	return fmt.Errorf("line %d: %s", lineAt(r.text, r.tokens.InputOffset()), fmt.Sprintf(format, args...))
}

// domain reads a domain's list.
func (r *domainReader) domain(typed string) (d attestapi.APIDomain, err error) {
	d = attestapi.APIDomain{Format: "jws", Pins: []string{}}
	if d.Domain, err = attestapi.ParseDomainName(typed); err != nil {
		return d, r.wrong("%v", err)
	}
	if r.next() != json.Delim('[') {
		return d, r.wrong("%s: want a list of pins, which may be empty: []", d.Domain)
	}
	for {
		switch entry := r.next().(type) {
		case string:
			if err := takeEntry(&d, entry); err != nil {
				return d, r.wrong("%s: %v", d.Domain, err)
			}
		case json.Delim:
			if entry == ']' {
				return d, nil
			}
			return d, r.wrong("%s: a pin is a string, such as \"%s\"", d.Domain, examplePin)
		default:
			return d, r.wrong("%s: a pin is a string, such as \"%s\"", d.Domain, examplePin)
		}
	}
}

// takeEntry adds an entry of a domain's list to it.
func takeEntry(d *attestapi.APIDomain, entry string) error {
	key, isKey := strings.CutPrefix(entry, fileKey)
	pseudo := isKey || entry == fileJWE || entry == fileNoToken
	switch {
	case slices.Contains(d.Pins, entry):
		return fmt.Errorf("%s stands there twice; delete one", entry)
	case pseudo && (d.Format != "jws" || d.KeyID != ""):
		return fmt.Errorf("of %s, %s and %sKID one may stand there", fileJWE, fileNoToken, fileKey)
	case isKey && key == "":
		return errors.New("key: is followed by nothing; name a key of the keyset, such as key:2030-01")
	case isKey:
		d.KeyID = key
	case entry == fileJWE:
		d.Format = "jwe"
	case entry == fileNoToken:
		d.Format = "none"
	case !pins.IsPin(entry):
		return fmt.Errorf("%.80q is neither a pin, base64 of 32 bytes such as %s, nor %s, %s or %sKID", entry, examplePin, fileJWE, fileNoToken, fileKey)
	default:
		d.Pins = append(d.Pins, entry)
	}
	return nil
}

// setDocument is what -setAll -json prints.
type setDocument struct {
	attestapi.Changed
	Problem bool                  `json:"problem"` // of one of the checks at least
	Checks  []attestapi.PinStatus `json:"checks"`
}

// setDomains does what the manual has in "Setting Pin Configuration". The server judges the file first, so that nobody
// waits for domains to answer to learn that the file is refused.
func (c *call) setDomains() error {
	prober, err := c.prober()
	if err != nil {
		return misuse{err}
	}
	if c.value() == "-" && !c.has("yes") && !c.has("dryRun") {
		return misuse{errors.New("-setAll - reads the file from standard input, so that nobody can answer there; add -yes or -dryRun")}
	}
	text, err := c.readInput(c.value(), attestapi.MaxManageRequest)
	if err != nil {
		return fmt.Errorf("-setAll: %w", err)
	}
	all, err := parseDomains(text)
	if err != nil {
		return fmt.Errorf("-setAll: %s, %w", c.value(), err)
	}
	request := manageclient.Request{Method: http.MethodPut, Path: attestapi.PathDomains, Body: attestapi.Domains{Domains: all}, DryRun: true}
	var outcome setDocument
	answer, err := c.ask(request, &outcome.Changed)
	if err != nil {
		return err
	}
	outcome.Checks = c.look(prober, all)
	outcome.Problem = slices.ContainsFunc(outcome.Checks, failed)
	c.showChecks(outcome.Checks)
	c.notes(outcome.Notes)
	if outcome.Problem {
		c.note("WARNING: problem detected with APIs, we do not recommend you proceed (unless caused by known local firewall issue)")
	}
	if c.has("dryRun") {
		return c.wouldSet(outcome)
	}
	if err := c.confirm("updating the APIs"); err != nil {
		return err
	}
	request.DryRun, request.IfMatch = false, answer.Tag
	outcome.Changed = attestapi.Changed{}
	if _, err := c.ask(request, &outcome.Changed); err != nil {
		return whenStale(err)
	}
	if c.has("json") {
		return c.printDocument(outcome)
	}
	c.say("APIs set successfully")
	return nil
}

// wouldSet ends a dry run. With a problem it fails, so that a pipeline can stop there.
func (c *call) wouldSet(outcome setDocument) error {
	if c.has("json") {
		if err := c.printDocument(outcome); err != nil {
			return err
		}
	} else {
		c.say("dry run, nothing was changed; it would be: APIs set successfully")
	}
	if outcome.Problem {
		return errNegative
	}
	return nil
}

// readInput reads a file that is no secret, or standard input.
func (c *call) readInput(path string, most int) ([]byte, error) {
	from := c.stdin
	if path != "-" {
		file, err := os.Open(path)
		if says, ok := errors.AsType[*fs.PathError](err); ok {
			return nil, fmt.Errorf("%s: %w", path, says.Err)
		}
		if err != nil {
			return nil, err
		}
		defer func() { _ = file.Close() }() // it was read only
		from = file
	}
	text, err := io.ReadAll(io.LimitReader(from, int64(most)+1))
	if err == nil && len(text) > most {
		err = fmt.Errorf("%s is longer than %d bytes; is it the right file?", path, most)
	}
	return text, err
}
