package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"path/filepath"
	"strings"
)

// The tool under the name of its predecessor, for build systems that still run that (manual, "Legacy Registration Tool
// Mode"). The manual does not list its options; public instructions for it have -a, -t and -e, and that it ends with
// legacySuccess: approov/quickstart and CriticalBlue demonstration repositories of 2017 to 2019, such as "./registration
// -a app-debug.apk -t registration_access.tok -e 2d". -v is the manual's.
const (
	legacyName    = "registration"
	legacyVersion = "Approov Legacy Registration Tool 2.0.0" // to the letter the manual's, which build systems may look for
	legacySuccess = "Success: new app signature added to database."
	legacyUsage   = `Usage: registration -t TOKENFILE -a APP [-e LIFETIME] [-v]

  -t TOKENFILE  a file with a management token
  -a APP        the app to register
  -e LIFETIME   how long it stays registered, such as 2h or 1d; default: for good
  -v            print the version first

This is the legacy mode of approov, which can do more: approov registration -h
`
)

// isLegacy reports whether the program was started under its predecessor's name, registration or registration.exe.
func isLegacy(program string) bool {
	name := strings.ToLower(filepath.Base(program))
	return strings.TrimSuffix(name, ".exe") == legacyName
}

// runLegacy does what a command line of the predecessor says and returns the exit status.
func (c *console) runLegacy(args []string) int {
	var app, token, lifetime string
	var version bool
	flags := flag.NewFlagSet(legacyName, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&app, "a", "", "")
	flags.StringVar(&token, "t", "", "")
	flags.StringVar(&lifetime, "e", "", "")
	flags.BoolVar(&version, "v", false, "")
	err := flags.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprint(c.stdout, legacyUsage)
		return exitOK
	}
	if version {
		fmt.Fprintln(c.stdout, legacyVersion)
	}
	if err == nil && flags.NArg() > 0 {
		err = fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	switch {
	case err != nil:
		c.note("%v; the legacy registration tool knows -t, -a, -e and -v, for all else use: approov registration", err)
		return exitUsage
	case token == "":
		c.note("no token path specified") // the manual's line
		return exitUsage
	case app == "":
		c.note("no app path specified")
		return exitUsage
	}
	if strings.HasPrefix(token, "-") {
		token = "./" + token // a file's name, no flag
	}
	line := []string{legacyName, token, "-add=" + app}
	if lifetime != "" {
		line = append(line, "-expireAfter="+lifetime)
	}
	status := c.run(line)
	if status == exitOK {
		fmt.Fprintln(c.stdout, legacySuccess)
	}
	return status
}
