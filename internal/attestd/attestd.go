// Package attestd runs the attestation service as a program: its flags, folder, first account, listeners and end. It is
// what cmd/attestserver is made of, and what the demo starts as a process of its own. It decides nothing about
// attestations or accounts.
//
// Start reading at Run, then options.go for what the flags mean and serve.go for how it is put together.
package attestd

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/approovgate/approovgate/internal/host"
)

// Usage is the text of attestserver help.
const Usage = `attestserver attests apps and issues Approov tokens.

Usage:
  attestserver [run] [flags]
  attestserver backup --data DIR FILE
  attestserver copy   --data DIR --to postgres://… [--to-key REF]
  attestserver add    --data DIR|--db URL --account NAME [--secret REF]
  attestserver version

  run      serve until SIGINT or SIGTERM; on its first start, make an account and write its management tokens
           into the data folder
  backup   write a copy of the SQLite database, also while the service runs
  copy     write everything that is in the SQLite database into an empty PostgreSQL one
  add      make another account; --secret takes over the token secret of an account elsewhere

Flags:
  --data DIR            folder of the database, the sealing key and the first management tokens; default attestserver-data
  --db URL              a PostgreSQL database, postgres://…, in place of the SQLite one in the data folder
  --key REF             key that seals secrets in the database: file:PATH or env:NAME, base64 of 32 bytes;
                        default file:DIR/sealing.key, which is made on the first start
  --listen ADDR         host:port for apps, gates and approov; default 127.0.0.1:8484
  --manage ADDR         host:port for approov alone, which is then not served on --listen
  --status ADDR         host:port for /live, /ready and /metrics; default none
  --cert FILE           certificate of the listeners, PEM; read again when it changes
  --key-file FILE       its private key
  --plain               serve plain HTTP on addresses others can reach: behind a TLS proxy only
  --trusted-proxy CIDR  whose X-Forwarded-For is believed; may be repeated
  --url URL             where apps reach the service, such as https://attest.example.com; may be repeated;
                        default http://ADDR, for trying it out on one machine
  --failover URL        where they reach its failover; may be repeated
  --pin PIN             a pin of the service's TLS for apps; may be repeated
  --account NAME        name of the first account; default demo
  --secret REF          existing token secret that a new account takes over: file:PATH or env:NAME, base64
  --pin-check EVERY     how often the accounts' domains are looked at, whether their pins match: 2m or more, or 0 for
                        never; default 10m
  --pin-webhook URL     who is told when that changes: https, or http to this machine
  --pin-webhook-secret REF
                        signs what is told: file:PATH or env:NAME, 32 characters or more
  --pin-private         look also at addresses that are not of the public internet
  --pin-connect DOMAIN=HOST:PORT
                        where a domain is looked at, wherever that is; may be repeated
  --pin-ca FILE         certificates that are trusted besides the system's when looking and telling, PEM
  --log-level LEVEL     debug, info, warn or error; default info

Exit status: 0 success, 1 a problem, 2 wrong usage.
`

// The exit statuses.
const (
	exitOK      = 0
	exitProblem = 1
	exitUsage   = 2
)

// Run is the program. SIGINT and SIGTERM end it.
func Run(args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return run(ctx, args, stdout, stderr)
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	name := "run"
	if len(args) > 0 && len(args[0]) > 0 && args[0][0] != '-' {
		name, args = args[0], args[1:]
	}
	command, known := map[string]func(context.Context, options, *console) error{
		"run": serve, "backup": backup, "copy": copyTo, "add": add,
	}[name]
	switch {
	case name == "version":
		fmt.Fprintln(stdout, "attestserver", host.Version())
		return exitOK
	case name == "help":
		fmt.Fprint(stdout, Usage)
		return exitOK
	case !known:
		fmt.Fprintf(stderr, "attestserver: unknown command %q; \"attestserver help\" lists the commands\n", name)
		return exitUsage
	}
	o, err := parse(name, args)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprint(stdout, Usage)
		return exitOK
	} else if err != nil {
		fmt.Fprintf(stderr, "attestserver: %v; see attestserver help\n", err)
		return exitUsage
	}
	if err := command(ctx, o, newConsole(o, stdout, stderr)); err != nil {
		fmt.Fprintf(stderr, "attestserver: %v\n", err)
		return exitProblem
	}
	return exitOK
}
