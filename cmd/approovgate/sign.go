package main

import (
	"crypto/ecdsa"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/approovgate/approovgate/config"
	"github.com/approovgate/approovgate/internal/controlsign"
	"github.com/approovgate/approovgate/internal/host"
	"github.com/approovgate/approovgate/source"
)

const signHelp = `approovgate sign makes the signed documents that gates poll: put its output where control.url, or ring in keys, of
their policies leads.

Usage:
  approovgate sign control --key PEM --aud NAME[,NAME] [--version N] FILE
  approovgate sign keys    --key PEM --aud NAME[,NAME] [--version N] FILE

FILE is YAML or JSON. Of "sign control" it holds mode, rollout, routes, until, reason and by, all optional, but an
override must have until. Of "sign keys" it holds keys, a list of entries as in a policy; secret and public_key may be
file:PATH, which starts at FILE's folder, or env:NAME, and go into the document as text.

A document of keys is signed, not encrypted: whoever can read it has the secrets. Keep it as safe as them.

Flags:
  --key PEM      the private key on P-256: the path of a PEM file, SEC 1 or PKCS #8, or env:NAME
  --aud NAMES    the gates it is for: name in their policies, separated by commas
  --version N    its number, higher than that of the one before; default version in FILE, or else the Unix time

Example:
  openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out control.pem
  openssl pkey -in control.pem -pubout -out control.pub      for control.keys of the policies
  approovgate sign control --key control.pem --aud edge-1,edge-2 incident.yaml > control.jws
`

// sign runs the command sign.
func (c *console) sign(args []string) int {
	kind := ""
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		kind, args = args[0], args[1:]
	}
	var keyPath, aud, version string
	flags := newFlags("sign")
	flags.StringVar(&keyPath, "key", "", "")
	flags.StringVar(&aud, "aud", "", "")
	flags.StringVar(&version, "version", "", "")
	if status, ok := c.parse("sign", flags, args, 1); !ok {
		return status
	}
	terms := controlsign.Terms{Now: c.now()}
	if aud != "" {
		terms.Audience = strings.Split(aud, ",")
	}
	n, err := strconv.ParseInt(version, 10, 64)
	switch {
	case kind != "control" && kind != "keys":
		return c.usage(errors.New("say what to sign: approovgate sign control, or approovgate sign keys"))
	case keyPath == "" || aud == "" || flags.NArg() == 0:
		return c.usage(fmt.Errorf("give --key PEM, --aud NAME and a file; \"approovgate sign --help\" has an example"))
	case strings.HasPrefix(keyPath, "inline:"):
		return c.usage(errors.New("--key must be the path of a file or env:NAME; a key on the command line shows in ps and in the shell's history"))
	case version != "" && (err != nil || n < 1):
		return c.usage(fmt.Errorf("--version must be a whole number from 1, is %q", version))
	}
	terms.Version = n
	key, err := c.signingKey(keyPath)
	if err != nil {
		return c.failed(err)
	}
	return c.signFile(kind, flags.Arg(0), key, terms)
}

// signingKey reads the private key.
func (c *console) signingKey(path string) (*ecdsa.PrivateKey, error) {
	reference := path
	if !strings.HasPrefix(path, "env:") && !strings.HasPrefix(path, "file:") {
		reference = "file:" + path
	}
	text, warnings, err := source.Read(reference)
	if err != nil {
		return nil, fmt.Errorf("--key: %w", err)
	}
	for _, warning := range warnings {
		c.warn("--key: " + warning)
	}
	key, err := controlsign.ParseKey(text)
	if err != nil {
		return nil, fmt.Errorf("--key %s: %w", path, err)
	}
	return key, nil
}

// signFile signs the document in a file and prints the envelope.
func (c *console) signFile(kind, file string, key *ecdsa.PrivateKey, terms controlsign.Terms) int {
	tree, problems := host.ReadTree(file)
	envelope := ""
	if !config.Failed(problems) {
		var found []config.Problem
		if kind == "control" {
			envelope, found = controlsign.Control(key, tree, terms)
		} else {
			envelope, found = controlsign.Ring(key, tree, terms, func(reference string) ([]byte, []string, error) {
				return source.Read(below(filepath.Dir(file), reference))
			})
		}
		problems = append(problems, found...)
	}
	for _, p := range problems {
		if p.Path == "aud" && len(tree) > 0 && tree["aud"] == nil {
			p.Path = "--aud"
		} else {
			p.Path = strings.TrimRight(file+": "+p.Path, ": ")
		}
		c.problem(p)
	}
	if envelope == "" || config.Failed(problems) {
		return exitProblem
	}
	fmt.Fprintln(c.stdout, envelope)
	return exitOK
}

// below is a reference to a file that starts at a folder, if it is relative. Other references stay as they are.
func below(dir, reference string) string {
	path, isFile := strings.CutPrefix(reference, "file:")
	if !isFile || path == "" || filepath.IsAbs(path) {
		return reference
	}
	return "file:" + filepath.Join(dir, path)
}
