// Command approovgate is the standalone gate: a reverse proxy that lets only requests with a genuine
// Approov token reach the API behind it.
//
// It reads flags and files, prints problems and hands over to package proxy; other commands talk to the admin
// interface of a running gate, or sign documents. It decides nothing about requests. Start reading at main, then
// options.go for what the flags of run mean, and console.go for the commands that do not serve.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/approovgate/approovgate/config"
	"github.com/approovgate/approovgate/internal/host"
	"github.com/approovgate/approovgate/internal/logline"
	"github.com/approovgate/approovgate/internal/sdnotify"
	"github.com/approovgate/approovgate/proxy"
)

const usage = `approovgate enforces Approov tokens in front of an HTTP API.

Usage:
  approovgate run     --config FILE
  approovgate run     --listen ADDR --upstream URL --secret REF [--status ADDR] [--header NAME]
  approovgate check   --config FILE
  approovgate bypass  [--for 15m | --until TIME] [--route NAME]... [--reason TEXT]
  approovgate log     likewise
  approovgate enforce likewise, and [--rollout N]
  approovgate resume  [--reason TEXT]
  approovgate status
  approovgate report  [--hours N]
  approovgate sign    control|keys --key PEM --aud NAME[,NAME] FILE
  approovgate version

Serving:
  run      serve until SIGINT or SIGTERM; SIGHUP reads the policy and the keys again
  check    report every problem of the configuration without serving

Talking to the running gate, whose gate file must set admin:
  bypass   forward requests unchecked for a while: the switch for an emergency
  log      check and report, but reject nothing, for a while
  enforce  reject what is not genuine, for all devices or a share of them
  resume   end that: the policy rules again
  status   show what is in force, until when, who set it and why; routes, keys and sources
  report   show what enforcing would reject: can it be turned on?

Others:
  sign     make a signed control document or key ring, for gates to poll
  version  print the version
  help     print this text, or with the name of a command that command's

Flags of run and check:
  --config FILE    gate file, YAML or JSON; the other flags are for running without one
  --listen ADDR    host:port or unix:/path that takes requests; ":8080" means all addresses
  --upstream URL   the API behind the gate: http://, https:// or h2c://host:port, or unix:/path
  --secret REF     the account's base64 secret: env:NAME or file:PATH, never the secret itself
  --status ADDR    host:port for /live, /ready and /metrics; default none
  --header NAME    header that carries the token; default Approov-Token

Example, with the account's secret in the environment variable APPROOV_SECRET:
  approovgate run --listen 127.0.0.1:8080 --upstream http://127.0.0.1:9000 --secret env:APPROOV_SECRET

Exit status: 0 success, 1 a problem with the configuration or while serving, or the gate was not reached or has refused,
2 wrong usage.
`

// The exit statuses.
const (
	exitOK      = 0
	exitProblem = 1
	exitUsage   = 2
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

func run(args []string, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		fmt.Fprint(stderr, usage)
		return exitUsage
	}
	switch name := args[0]; name {
	case "run":
		return withOptions(args[1:], stdout, stderr, serve)
	case "check":
		return withOptions(args[1:], stdout, stderr, check)
	case "version", "--version", "-version":
		fmt.Fprintln(stdout, "approovgate", host.Version())
		return exitOK
	case "help", "--help", "-help", "-h":
		return help(args[1:], stdout, stderr)
	default:
		if found, ok := commands()[name]; ok {
			return found.run(newConsole(stdout, stderr), args[1:])
		}
		fmt.Fprintf(stderr, "approovgate: unknown command %q; \"approovgate help\" lists the commands\n", name)
		return exitUsage
	}
}

// help prints what there is to say of a command, or of all.
func help(args []string, stdout, stderr io.Writer) int {
	text := usage
	if len(args) > 0 {
		found, ok := commands()[args[0]]
		if ok {
			text = found.help
		} else if !slices.Contains([]string{"run", "check", "version", "help"}, args[0]) {
			fmt.Fprintf(stderr, "approovgate: unknown command %q; \"approovgate help\" lists the commands\n", args[0])
			return exitUsage
		}
	}
	fmt.Fprint(stdout, text)
	return exitOK
}

// withOptions reads the flags, loads what they name, prints every problem and, if none forbids it, runs do.
func withOptions(args []string, stdout, stderr io.Writer, do func(*proxy.Proxy, io.Writer, io.Writer) int) int {
	o, err := parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(stdout, usage)
		return exitOK
	case err != nil:
		fmt.Fprintf(stderr, "approovgate: %v\n", err)
		return exitUsage
	}
	p := o.proxy()
	problems := p.Load()
	for _, problem := range problems {
		fmt.Fprintln(stderr, o.line(problem))
	}
	if config.Failed(problems) {
		return exitProblem
	}
	return do(p, stdout, stderr)
}

func check(p *proxy.Proxy, stdout, _ io.Writer) int {
	routes, keys := p.Size()
	fmt.Fprintf(stdout, "OK: %d routes, %d keys\n", routes, keys)
	return exitOK
}

func serve(p *proxy.Proxy, _, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once

	reload := make(chan os.Signal, 1)
	signal.Notify(reload, syscall.SIGHUP)
	defer signal.Stop(reload)

	log.SetOutput(io.Discard)      // net/http's transport quotes there what an upstream has sent, which may be a token
	signal.Ignore(syscall.SIGPIPE) // a log that nobody reads any more must not end the gate
	lines := logline.New(stderr, func(n uint64) []byte { return proxy.LostLines(p.Config().Log, n) })
	defer closeLog(lines)
	p.Log, p.Lines = proxy.NewLogger(lines, p.Config().Log), lines
	p.Reload = reload
	p.Ready = func(proxy.Addresses) { told(p.Log, sdnotify.Ready()) }
	context.AfterFunc(ctx, func() { told(p.Log, sdnotify.Stopping()) })
	go func() { told(p.Log, sdnotify.Run(ctx, p.Alive)) }() // ended by ctx
	if err := p.Run(ctx); err != nil {
		fmt.Fprintf(lines, "approovgate: %v\n", err)
		return exitProblem
	}
	return exitOK
}

// told notes that the service manager could not be told something. The gate serves all the same.
func told(lines *slog.Logger, err error) {
	if err != nil {
		lines.Warn("the service manager does not hear", "error", err.Error())
	}
}

// closeLog writes the last lines, unless the log is stuck.
func closeLog(lines *logline.Writer) {
	const patience = 2 * time.Second
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_ = lines.Close(ctx) // there is nowhere left to say so
}
