package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/user"
	"strconv"
	"strings"
	"time"

	"github.com/approovgate/approovgate/config"
)

// exchangeTime is how long one exchange with a gate may take. A gate on a slow disk answers a change after seconds.
const exchangeTime = 10 * time.Second

// console is what the commands that do not serve take from the process they run in.
type console struct {
	stdout, stderr io.Writer
	now            func() time.Time
	zone           *time.Location // in which times are read and shown
	getenv         func(string) string
	hostname       func() (string, error)
	login          func() string // the user's name; empty: unknown
	patience       time.Duration
}

func newConsole(stdout, stderr io.Writer) *console {
	return &console{stdout: stdout, stderr: stderr, now: time.Now, zone: time.Local, getenv: os.Getenv, hostname: os.Hostname,
		login: login, patience: exchangeTime}
}

// login is the name of the user that the process runs as. A container may have no list of users.
func login() string {
	if u, err := user.Current(); err == nil && u.Username != "" {
		return u.Username
	}
	return "uid " + strconv.Itoa(os.Getuid())
}

// by is who changes something, if --by does not say so: the person behind sudo, where there is one.
func (c *console) by() string {
	name := c.getenv("SUDO_USER")
	if name == "" {
		name = c.getenv("USER")
	}
	if name == "" {
		name = c.login()
	}
	if host, err := c.hostname(); err == nil && host != "" {
		name += "@" + host
	}
	return name
}

// command is one that talks to people: its help, and what it does.
type command struct {
	help string
	run  func(c *console, args []string) int
}

// commands are all of those but the ones that serve.
func commands() map[string]command {
	return map[string]command{
		"bypass":  {overrideHelp("bypass"), func(c *console, args []string) int { return c.override("bypass", args) }},
		"log":     {overrideHelp("log"), func(c *console, args []string) int { return c.override("log", args) }},
		"enforce": {overrideHelp("enforce"), func(c *console, args []string) int { return c.override("enforce", args) }},
		"resume":  {resumeHelp, (*console).resume},
		"status":  {statusHelp, (*console).status},
		"report":  {reportHelp, (*console).report},
		"sign":    {signHelp, (*console).sign},
	}
}

// newFlags are the flags of one command, none yet.
func newFlags(name string) *flag.FlagSet {
	flags := flag.NewFlagSet("approovgate "+name, flag.ContinueOnError)
	flags.SetOutput(io.Discard) // one message, printed by the caller
	return flags
}

// parseFlags reads flags and allows no other arguments. Its error is flag.ErrHelp or says what is wrong.
func parseFlags(flags *flag.FlagSet, args []string, list string) error {
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return err
	case err != nil:
		return fmt.Errorf("%s; %q lists the flags", strings.Replace(err.Error(), ": -", ": --", 1), list)
	}
	return nil
}

// parse reads the flags of a command that takes at most some arguments besides. When the second result is
// false, the command is done, with the exit status in the first.
func (c *console) parse(name string, flags *flag.FlagSet, args []string, most int) (int, bool) {
	err := parseFlags(flags, args, "approovgate "+name+" --help")
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(c.stdout, commands()[name].help)
		return exitOK, false
	case err != nil:
		return c.usage(err), false
	case flags.NArg() > most:
		return c.usage(fmt.Errorf("unexpected argument %q; %q lists the flags, which go before other arguments",
			flags.Arg(most), "approovgate "+name+" --help")), false
	}
	return exitOK, true
}

// usage prints what is wrong with the command line.
func (c *console) usage(err error) int {
	c.complain(err.Error())
	return exitUsage
}

// misuse is an error about the command line.
type misuse struct{ error }

// failed prints why something could not be done.
func (c *console) failed(err error) int {
	var wrong misuse
	if errors.As(err, &wrong) {
		return c.usage(err)
	}
	var refused *refusal
	if !errors.As(err, &refused) {
		c.complain(err.Error())
		return exitProblem
	}
	for _, line := range refused.lines() {
		c.complain(line)
	}
	return exitProblem
}

func (c *console) complain(line string) { fmt.Fprintln(c.stderr, "approovgate:", shown(line)) }

// warn prints what does not keep a command from being done.
func (c *console) warn(line string) { fmt.Fprintln(c.stderr, "warning:", shown(line)) }

// problem prints a problem of a file.
func (c *console) problem(p config.Problem) {
	if p.Warning {
		c.warn(p.String())
		return
	}
	fmt.Fprintln(c.stderr, "error:", shown(p.String()))
}
