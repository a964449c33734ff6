package main

import (
	"fmt"
	"io"
	"strings"
)

// manDate is when the manual page has last changed in more than its lists.
const manDate = "November 21, 2026"

const manHead = `.Dd ` + manDate + `
.Dt APPROOV 1
.Os
.Sh NAME
.Nm approov
.Nd manage an account of an attestation server
.Sh SYNOPSIS
.Nm
.Ar verb
.Op Ar token
.Fl action Op Ar value
.Op Ar flags
.Sh DESCRIPTION
.Nm
manages which apps, devices and API domains an account of an attestation server knows, its policies, secrets and keys, and the live
switch of its gates.
It reads the command line, asks the server and prints the answer; what is allowed is decided by the server.
.Pp
.Ar token
is a file with a management token, of an administrator or of a developer.
It stands right after the verb.
Without it the token in
.Ev APPROOV_MANAGEMENT_TOKEN
is used.
.Pp
A flag may be written with one dash or two, and its value as the next word or behind an equals sign.
What affects apps in production asks first, on standard error, and goes on if it reads YES from standard input.
The server has judged the change by then, and makes it only if the account is still the one it was judged for.
`

const manMiddle = `.Sh ENVIRONMENT
.Bl -tag -width Ds
.It Ev APPROOV_MANAGEMENT_TOKEN
A management token, the text itself and not a file's name.
.It Ev APPROOV_SERVER
The server's URL.
.It Ev NO_COLOR , TERM
If
.Ev NO_COLOR
is set, or
.Ev TERM
is dumb, how far long work has come is not shown.
.It Ev TZ
The time zone in which times are shown.
.El
.Sh FILES
.Bl -tag -width Ds
.It Pa *.tok
Management tokens, by custom.
One that others may read is used with a warning, one that others may write is refused.
.El
`

const manTail = `.Sh EXAMPLES
Register an app for three days:
.Pp
.Dl $ approov registration -add my_app.apk -expireAfter 3d
.Pp
Add an API domain, in a script that nobody watches:
.Pp
.Dl $ approov api -add api.example.com -yes
.Pp
See what a change would do:
.Pp
.Dl $ approov policy myadmin.tok -set default,allow-root,default -dryRun
.Pp
List the signatures of all registered apps:
.Pp
.Dl $ approov registration -list -json | jq -r '.registrations[].signature'
.Pp
Complete command lines in bash:
.Pp
.Dl $ source <(approov completion bash)
.Sh COMPATIBILITY
Under the name
.Nm registration
it is the registration tool of Approov 1:
.Bd -literal -offset indent
registration -t TOKENFILE -a APP [-e LIFETIME] [-v]
.Ed
`

// statuses are the exit statuses and what they mean.
func statuses() []string {
	return []string{
		exitOK:          "done",
		exitRefused:     "refused by the server or the person who was asked, or a check failed",
		exitUsage:       "wrong usage",
		exitToken:       "the management token is missing, not accepted, or not allowed to do this",
		exitUnreachable: "the server cannot be reached",
	}
}

// manual prints the manual page, as mdoc.
func (c *console) manual(args []string) error {
	if len(args) > 0 {
		return misuse{fmt.Errorf("man takes nothing more, is given %q; to read it: approov man | man -l -", shown(args[0]))}
	}
	_, err := io.WriteString(c.stdout, manualPage())
	return err
}

func manualPage() string {
	var b strings.Builder
	b.WriteString(manHead)
	b.WriteString(".Pp\nThe flags of every verb:\n.Bl -tag -width Ds\n")
	for _, o := range everyOption() {
		manFlag(&b, o)
	}
	b.WriteString(".El\n.Sh VERBS\n")
	for _, v := range verbs() {
		v.manual(&b)
	}
	b.WriteString(".Ss Without a server\n.Bl -tag -width Ds\n")
	for _, v := range local() {
		fmt.Fprintf(&b, ".It Nm %s\n%s", v.name, manText(v.about))
	}
	b.WriteString(".El\n")
	b.WriteString(manMiddle)
	b.WriteString(".Sh EXIT STATUS\n.Bl -tag -width Ds\n")
	for status, about := range statuses() {
		fmt.Fprintf(&b, ".It %d\n%s", status, manText(about))
	}
	b.WriteString(".El\n")
	b.WriteString(manTail)
	return wrapped(b.String())
}

// manWidth is how long lines of text are in the page's source, in bytes, as mandoc's lint wants them.
const manWidth = 78

// wrapped breaks lines of text. What a line begins with must not be a request.
func wrapped(page string) string {
	var b strings.Builder
	for line := range strings.Lines(page) {
		for !strings.HasPrefix(line, ".") && len(line) > manWidth {
			at := strings.LastIndexByte(line[:manWidth], ' ')
			if at < 0 || line[at+1] == '.' || line[at+1] == '\'' {
				break
			}
			b.WriteString(line[:at] + "\n")
			line = line[at+1:]
		}
		b.WriteString(line)
	}
	return b.String()
}

// manual writes a verb's part of the page.
func (v verb) manual(w io.Writer) {
	fmt.Fprintf(w, ".Ss %s\n%s.Pp\n", v.name, manText(v.about))
	for i, a := range v.actions {
		if i > 0 {
			fmt.Fprintln(w, ".br")
		}
		fmt.Fprintf(w, ".Nm approov %s\n.Op Ar token\n", v.name)
		if a.name != "" {
			fmt.Fprintf(w, ".%s\n", manUsage(a.option))
		}
		for _, o := range v.options {
			switch {
			case a.requires(o.name):
				fmt.Fprintf(w, ".%s\n", manUsage(o))
			case a.allows(o.name):
				fmt.Fprintf(w, ".Op %s\n", manUsage(o))
			}
		}
	}
	own := v.ownOptions()
	if len(own) == 0 {
		return
	}
	fmt.Fprintln(w, ".Bl -tag -width Ds")
	for _, o := range own {
		manFlag(w, o)
	}
	fmt.Fprintln(w, ".El")
}

// manFlag writes a flag with what it does.
func manFlag(w io.Writer, o option) {
	fmt.Fprintf(w, ".It %s\n%s", manUsage(o), manText(o.about))
}

// manUsage is a flag as mdoc's macros write it.
func manUsage(o option) string {
	if o.value == "" {
		return "Fl " + o.name
	}
	return "Fl " + o.name + " Ar " + o.value
}

// manText is a text in mdoc: every sentence on a line of its own, and nothing in it that troff would take for a request.
func manText(text string) string {
	text = strings.ReplaceAll(text, `\`, `\e`)
	var b strings.Builder
	for _, sentence := range strings.Split(text, ". ") {
		if b.Len() > 0 {
			b.WriteString(".\n")
		}
		if strings.HasPrefix(sentence, ".") || strings.HasPrefix(sentence, "'") {
			b.WriteString(`\&`)
		}
		b.WriteString(sentence)
	}
	return b.String() + "\n"
}
