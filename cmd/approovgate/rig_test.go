package main

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // the tests' time zones, whatever the machine has
)

// noon is the tests' time: 13:00 in Berlin, on a Thursday.
var noon = time.Date(2030, 1, 31, 12, 0, 0, 0, time.UTC)

// rig is a stand-in for a gate and a console that talks to it.
type rig struct {
	*standIn
	t       *testing.T
	socket  string
	console *console
	env     map[string]string
	stdout  bytes.Buffer
	stderr  bytes.Buffer
}

func newRig(t *testing.T) *rig { return newRigWith(t, standInPolicy) }

func newRigWith(t *testing.T, policy string) *rig {
	t.Helper()
	now := func() time.Time { return noon }
	s, err := newStandIn(policy, now)
	if err != nil {
		t.Fatal(err)
	}
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{standIn: s, t: t, socket: s.listen(t), env: map[string]string{"USER": "alice"}}
	r.console = &console{stdout: &r.stdout, stderr: &r.stderr, now: now, zone: berlin, patience: time.Minute,
		getenv:   func(name string) string { return r.env[name] },
		hostname: func() (string, error) { return "edge-1", nil },
		login:    func() string { return "uid 7" }}
	return r
}

// plain runs a command as typed.
func (r *rig) plain(args ...string) (status int, stdout, stderr string) {
	r.t.Helper()
	r.stdout.Reset()
	r.stderr.Reset()
	found, ok := commands()[args[0]]
	if !ok {
		r.t.Fatalf("there is no command %s", args[0])
	}
	status = found.run(r.console, args[1:])
	return status, r.stdout.String(), r.stderr.String()
}

// run runs a command against the stand-in.
func (r *rig) run(args ...string) (status int, stdout, stderr string) {
	r.t.Helper()
	return r.plain(slices.Concat(args[:1], []string{"--admin", "unix:" + r.socket}, args[1:])...)
}

// must runs a command that is to succeed.
func (r *rig) must(args ...string) (stdout, stderr string) {
	r.t.Helper()
	status, stdout, stderr := r.run(args...)
	if status != exitOK {
		r.t.Fatalf("%q: got exit status %d, want %d\n%s%s", args, status, exitOK, stdout, stderr)
	}
	return stdout, stderr
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}
