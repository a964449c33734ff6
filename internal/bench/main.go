// Command bench measures the standalone gate end to end: what a request costs that goes through it, how long
// it takes and how fast it rejects, beside a bare httputil.ReverseProxy, and beside HAProxy and nginx as
// Debian has them, where they are installed. It prints ratios; absolute figures belong to the machine.
//
// The proxy under test has one core to itself; a lean upstream and lean clients, one process, have another.
// All processes are this program again, under a subcommand of their own, or run under one, and end with it.
// Linux only.
//
// It owns the measurement, and must know nothing of what the gate does with a request: the gate runs as
// package proxy. Start reading at [measure], which is the run; rows.go has what is measured, load.go a window
// of it, goals.go what is wanted.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

// settings are the flags.
type settings struct {
	rounds int
	window time.Duration // of load that counts, of each row in each round
	tokens int           // distinct tokens minted
	short  bool          // see that it runs, judge nothing
	check  bool          // exit 1 on a missed goal
	sleep  bool          // clients and upstream sleep when they have nothing to do; false: they poll
	level  string        // log.level of the gate's file
	hosts  bool          // measure Caddy and Traefik
	groups []group       // of rows that are measured
}

// The defaults. The tokens outnumber the requests of a window of genuine ones.
const (
	defaultRounds  = 7
	defaultSeconds = 3.0
	defaultTokens  = 400_000
	shortSeconds   = 0.5
	shortTokens    = 20_000
	maxRounds      = 1000
	maxSeconds     = 600.0
	maxTokens      = 5_000_000 // 1.5 GB
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run is the program: 0 measured, 1 failed or a goal missed under -check, 2 bad usage.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	if len(args) > 0 && roles[args[0]] != nil {
		return serve(ctx, roles[args[0]], args[1:], stdin, stdout, stderr)
	}
	s, err := parse(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	} else if err != nil {
		return 2
	}
	reached, err := measure(ctx, s, commandLine(args), stdout, stderr)
	if err != nil {
		fmt.Fprintln(stderr, "bench:", err)
		return 1
	}
	if s.check && !reached {
		return 1
	}
	return 0
}

// commandLine is what was typed, for the reader who wants the same.
func commandLine(args []string) string {
	return strings.Join(append([]string{"go run ./internal/bench"}, args...), " ")
}

func parse(args []string, stderr io.Writer) (settings, error) {
	var s settings
	var seconds float64
	var only string
	set := flag.NewFlagSet("bench", flag.ContinueOnError)
	set.SetOutput(stderr)
	set.IntVar(&s.rounds, "rounds", defaultRounds, fmt.Sprintf("`number` of interleaved rounds, 1 to %d", maxRounds))
	set.Float64Var(&seconds, "seconds", defaultSeconds, fmt.Sprintf("`seconds` of each row in each round, 0.1 to %g", maxSeconds))
	set.IntVar(&s.tokens, "tokens", defaultTokens, fmt.Sprintf("`number` of distinct tokens, 2 to %d", maxTokens))
	set.BoolVar(&s.short, "short", false, fmt.Sprintf("one round of %g s a row, to see that it runs; goals are not judged", shortSeconds))
	set.BoolVar(&s.check, "check", false, "exit 1 when a goal is missed")
	set.BoolVar(&s.sleep, "sleep", false, "let clients and upstream sleep, so that the proxy pays for waking them up too")
	set.StringVar(&s.level, "log", "info", "`level` of the gate's log, which goes to "+os.DevNull)
	set.BoolVar(&s.hosts, "hosts", false, "measure Caddy and Traefik, each without the gate and with it, as make caddy, make traefik and make traefik-bundle build them")
	set.StringVar(&only, "only", "", "`groups` of rows to measure: valid, unique, bad, latency, flood, or several with commas; empty: all")
	if err := set.Parse(args); err != nil {
		return s, err
	}
	if s.short {
		s.rounds, s.tokens, seconds = 1, shortTokens, shortSeconds
	}
	s.window = time.Duration(seconds * float64(time.Second))
	fault := ""
	var err error
	s.groups, err = chosenGroups(only)
	switch {
	case err != nil:
		fault = err.Error()
	case set.NArg() > 0:
		fault = fmt.Sprintf("%q is neither a flag nor a subcommand", set.Arg(0))
	case s.rounds < 1 || s.rounds > maxRounds:
		fault = fmt.Sprintf("-rounds must be 1 to %d", maxRounds)
	case !(seconds >= 0.1 && seconds <= maxSeconds):
		fault = fmt.Sprintf("-seconds must be 0.1 to %g", maxSeconds)
	case s.tokens < 2 || s.tokens > maxTokens:
		fault = fmt.Sprintf("-tokens must be 2 to %d", maxTokens)
	case s.short && s.check:
		fault = "-short judges no goals; drop it or -check"
	}
	if fault != "" {
		fmt.Fprintln(stderr, "bench:", fault)
		return s, errors.New(fault)
	}
	return s, nil
}
