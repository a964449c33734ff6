// Command approov manages an account of an attestation server: which apps, devices and API domains it knows, its
// policies, secrets and keys, and the live switch of its gates.
//
// It reads the command line, asks the management API and prints the answer; what is allowed is decided there. Each
// verb is a file that declares the verb's actions and their flags, from which the help, the manual page, docs/cli.md and
// the completions are written. Nothing that affects apps in production is sent before the person has confirmed it, but
// for a dry run.
//
// Start reading at verb.go, then registration.go for a verb, and confirm.go.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"slices"
	"strings"
)

// The exit statuses.
const (
	exitOK          = 0
	exitRefused     = 1 // a check failed, or the server or the person has refused
	exitUsage       = 2
	exitToken       = 3 // the management token is missing, not accepted, or not allowed to do this
	exitUnreachable = 4
)

// verbs are all verbs, in the order of the help.
func verbs() []verb {
	return []verb{registrationVerb(), apiVerb(), policyVerb(), deviceVerb(), tokenVerb(), secretVerb(), keysetVerb(), sdkVerb(),
		managementVerb(), gatewayVerb(), auditVerb(), explainVerb(), whoamiVerb()}
}

const usageHead = `approov manages an account of an attestation server.

Usage: approov VERB [TOKEN] -ACTION [VALUE] [FLAGS]

`

const usageTail = `  version       print the version
  help [VERB]   print this text, or a verb's actions and flags
  man           print the manual page
  completion SHELL   print the completion of bash, zsh or fish

TOKEN is a file with a management token; default: the token in
$APPROOV_MANAGEMENT_TOKEN.
Flags of every verb, with one dash or two:
  -server URL   the server; default: $APPROOV_SERVER, else ` + defaultServer + `
  -ca FILE      the authority that has signed the server's certificate, as PEM
  -json         print the server's own document, and errors as a line of JSON
  -yes          do not ask: for scripts; else YES is read from standard input
  -dryRun       have a change judged, and do not make it

Exit status: 0 done; 1 refused, or a check failed; 2 wrong usage; 3 the token
is missing, not accepted or not allowed this; 4 the server cannot be reached
`

func main() {
	c := newConsole(os.Stdin, os.Stdout, os.Stderr)
	if isLegacy(os.Args[0]) {
		os.Exit(c.runLegacy(os.Args[1:]))
	}
	os.Exit(c.run(os.Args[1:]))
}

// run does what a command line says and returns the exit status.
func (c *console) run(args []string) int {
	if len(args) == 0 {
		fmt.Fprint(c.stderr, usage())
		return exitUsage
	}
	c.inJSON = wantsJSON(args)
	out := &watched{to: c.stdout}
	c.stdout = out
	err := c.dispatch(args)
	if out.err != nil && (err == nil || errors.Is(err, errNegative)) {
		err = out.err
	}
	if err == nil {
		return exitOK
	}
	return c.failed(err)
}

// watched remembers that something could not be written: a secret that is lost on a full disk must not look like one
// that was printed.
type watched struct {
	to  io.Writer
	err error
}

func (w *watched) Write(p []byte) (int, error) {
	n, err := w.to.Write(p)
	if err != nil && w.err == nil {
		w.err = fmt.Errorf("standard output: %w; what was to be printed is lost", err)
	}
	return n, err
}

func (c *console) dispatch(args []string) error {
	if len(args) == 2 && slices.Contains([]string{"-h", "-help", "--help"}, args[1]) {
		return c.help(args[:1])
	}
	switch strings.TrimLeft(args[0], "-") {
	case "version":
		fmt.Fprintln(c.stdout, "approov", version())
		return nil
	case "help", "h":
		return c.help(args[1:])
	case "completion":
		return c.completion(args[1:])
	case "man":
		return c.manual(args[1:])
	}
	v, err := findVerb(args[0])
	if err != nil {
		if order := wrongOrder(args); order != nil {
			return order
		}
		return err
	}
	return c.perform(v, args[1:])
}

func (c *console) help(args []string) error {
	if len(args) == 0 {
		fmt.Fprint(c.stdout, usage())
		return nil
	}
	for _, v := range local() {
		if v.name == args[0] {
			fmt.Fprint(c.stdout, flowed("approov "+v.name+":", v.about, 2))
			return nil
		}
	}
	v, err := findVerb(args[0])
	if err != nil {
		return err
	}
	fmt.Fprint(c.stdout, v.help())
	return nil
}

func usage() string {
	var b strings.Builder
	b.WriteString(usageHead)
	for _, v := range verbs() {
		b.WriteString(entry(v.name, v.about, len("registration")))
	}
	b.WriteString(usageTail)
	return b.String()
}

func findVerb(name string) (verb, error) {
	known := verbNames(local())
	for _, v := range verbs() {
		if v.name == name {
			return v, nil
		}
		known = append(known, v.name)
	}
	return verb{}, misuse{fmt.Errorf("unknown verb %q%s", shown(name), orLook(didYouMean(name, known), `"approov help" lists the verbs`))}
}

// misuse is an error about the command line.
type misuse struct{ error }

// badToken is an error about the management token.
type badToken struct{ error }

func (b badToken) Unwrap() error { return b.error }

// noToken is an error about a management token that is not there, or cannot be read.
type noToken struct{ error }

func (n noToken) Unwrap() error { return n.error }

// errNegative is the outcome of a check that failed, which has been printed.
var errNegative = errors.New("the check failed")

// version is what the Go tool has written into the program.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "(devel)"
	}
	return info.Main.Version
}
