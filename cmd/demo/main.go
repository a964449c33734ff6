// Command demo is the guided tour: a sample API, the gate in front of it, the attestation service with an app that is
// registered there, and a minter for tokens that no service would issue, all on this machine. It walks through the
// interesting requests, shows what the gate makes of each, and then stays up for more with curl.
//
// It may import anything and is no example of how to run a gate: the minter gives tokens to whoever
// asks. Start reading at steps.go, which is the tour, and attestation.go for where genuine tokens come from.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/approovgate/approovgate/config"
	"github.com/approovgate/approovgate/proxy"
)

// flags are the demo's own. An address that is not given and whose port is taken gives way to a free one.
type flags struct {
	once                      bool
	gate, api, minter, status string
}

// The default addresses.
const (
	defaultGate   = "127.0.0.1:8480"
	defaultAPI    = "127.0.0.1:8481"
	defaultMinter = "127.0.0.1:8482"
	defaultStatus = "127.0.0.1:8483"
)

func main() {
	if status, played := play(os.Args); played {
		os.Exit(status)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr, paintFor(os.Stdout)))
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer, p painter) int {
	var f flags
	set := flag.NewFlagSet("demo", flag.ContinueOnError)
	set.SetOutput(stderr)
	set.BoolVar(&f.once, "once", false, "end after the walk; non-zero unless everything came out as announced")
	set.StringVar(&f.gate, "gate", "", "address of the gate (default "+defaultGate+", or a free port)")
	set.StringVar(&f.api, "api", "", "address of the sample API (default "+defaultAPI+", or a free port)")
	set.StringVar(&f.minter, "minter", "", "address of the token minter (default "+defaultMinter+", or a free port)")
	set.StringVar(&f.status, "status", "", "address of the gate's status listener (default "+defaultStatus+", or a free port)")
	if err := set.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return 0
		}
		return 2
	}
	ok, err := tour(ctx, f, stdout, p)
	switch {
	case err != nil:
		fmt.Fprintln(stderr, "demo:", err)
		return 1
	case !ok:
		return 1
	}
	return 0
}

// tour starts everything, walks, and without -once stays up until ctx ends. It reports whether
// everything came out as announced.
func tour(ctx context.Context, f flags, stdout io.Writer, p painter) (ok bool, err error) {
	dir, err := os.MkdirTemp("", "approovgate-demo-")
	if err != nil {
		return false, err
	}
	defer os.RemoveAll(dir) // a leftover holds nothing of value
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	d, err := start(ctx, f, dir)
	if err != nil {
		return false, err
	}
	defer d.wait() // before the folder goes; stop makes it end
	defer stop()

	d.introduce(stdout, p)
	ok, err = d.walkAll(stdout, p)
	if err != nil || f.once {
		return ok, err
	}
	d.invite(stdout, p)
	d.log.printTo(stdout)
	<-ctx.Done()
	return ok, nil
}

// demo is what is running.
type demo struct {
	account                   account
	attestation               *attestation
	fetched                   tokens
	api                       *legacyAPI
	log                       *decisionLog
	file                      string // the gate's
	gate, apiAddr, minterAddr string
	status                    string
	wait                      func() // returns when everything has ended
}

// start starts the API, the minter, the gate and the attestation service. All of them end with ctx.
func start(ctx context.Context, f flags, dir string) (*demo, error) {
	d := &demo{account: newAccount(), api: &legacyAPI{}, log: &decisionLog{}}
	ended := make(chan error, 4)
	var err error
	if d.apiAddr, err = serve(ctx, f.api, defaultAPI, d.api, ended); err != nil {
		return nil, fmt.Errorf("sample API: %w", err)
	}
	if d.minterAddr, err = serve(ctx, f.minter, defaultMinter, d.account, ended); err != nil {
		return nil, fmt.Errorf("token minter: %w", err)
	}
	d.file, err = writeGateFile(dir, d.account, free(f.gate, defaultGate), d.apiAddr, free(f.status, defaultStatus))
	if err != nil {
		return nil, err
	}
	gate := &proxy.Proxy{File: d.file, Log: slog.New(d.log)}
	ready := make(chan proxy.Addresses, 1)
	gate.Ready = func(a proxy.Addresses) { ready <- a }
	if problems := gate.Load(); config.Failed(problems) {
		return nil, fmt.Errorf("the gate's file: %v", problems)
	}
	go func() { ended <- gate.Run(ctx) }() // ends with ctx; wait sees it
	select {
	case err := <-ended:
		return nil, err
	case a := <-ready:
		d.gate, d.status = a.Listen[0].String(), a.Status.String()
	}
	d.wait = func() {
		for range cap(ended) {
			<-ended
		}
	}
	if err := d.attest(ctx, dir, ended); err != nil {
		return nil, err
	}
	return d, nil
}

// attest starts the attestation service, registers the app with it, and has tokens fetched.
func (d *demo) attest(ctx context.Context, dir string, ended chan<- error) (err error) {
	if d.attestation, err = startAttestation(ctx, dir, ended); err != nil {
		return err
	}
	if err := d.attestation.register(ctx); err != nil {
		return fmt.Errorf("register the app: %w", err)
	}
	d.fetched, err = d.attestation.fetch(ctx)
	return err
}

// serve serves handler until ctx ends, which it reports on ended, and returns its address.
func serve(ctx context.Context, address, fallback string, handler http.Handler, ended chan<- error) (string, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", free(address, fallback))
	if err != nil {
		return "", err
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	context.AfterFunc(ctx, func() { _ = server.Close() }) // it only ever serves the demo
	go func() { ended <- server.Serve(l) }()              // ends when the line above closes the server
	return l.Addr().String(), nil
}

// free is the address to listen on: the one asked for, else the default if its port is free, else any
// port of this machine.
func free(address, fallback string) string {
	if address != "" {
		return address
	}
	l, err := net.Listen("tcp", fallback)
	if err != nil {
		return "127.0.0.1:0"
	}
	_ = l.Close() // nothing was accepted
	return fallback
}
