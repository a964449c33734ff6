package main

import (
	"bytes"
	"context"
	"log/slog"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/approovgate/approovgate/attestserver"
	"github.com/approovgate/approovgate/attestserver/account"
	"github.com/approovgate/approovgate/attestserver/manage"
	"github.com/approovgate/approovgate/attestserver/seal"
	"github.com/approovgate/approovgate/attestserver/store/sqlite"
)

// service is a real attestation service over a SQLite database.
type service struct {
	server *attestserver.Server
	mu     sync.Mutex // guards now
	now    time.Time
}

func (s *service) clock() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}

// services are those of running scripts.
var services sync.Map // *testscript.TestScript → *service

// serviceCommand starts a service with a fresh account and has approov use it with the account's development token.
// Both tokens made at sign-up are written into files. The service's clock stands at noon, UTC, on 31 January 2030.
func serviceCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: service ACCOUNT")
	}
	ctx := context.Background()
	s := &service{now: time.Date(2030, 1, 31, 12, 0, 0, 0, time.UTC)}
	key, err := seal.NewKey(bytes.Repeat([]byte{7}, 32))
	ts.Check(err)
	database, err := os.MkdirTemp(ts.MkAbs("."), "database") // a script may start another service
	ts.Check(err)
	st, err := sqlite.Open(ctx, database, seal.New(key))
	ts.Check(err)
	ts.Defer(func() { ts.Check(st.Close()) })
	made, tokens, err := account.New(args[0], nil, s.clock(), account.Network{Primary: []string{"https://attest.example.com"}})
	ts.Check(err)
	ts.Check(st.Create(ctx, made))
	server, err := attestserver.New(attestserver.Options{Store: st, Now: s.clock})
	s.server = server
	ts.Check(err)
	ts.Check(server.Refresh(ctx))
	look, err := seenFromService(ts)
	ts.Check(err)
	api := manage.New(manage.Options{Store: st, Accounts: server, Refresh: server.Refresh, Keep: server.KeepFailures, Now: s.clock, Log: slog.New(slog.DiscardHandler),
		Version: "test", Served: look, Rates: manage.Rates{Token: 1e6, TokenBurst: 1e6, Address: 1e6, AddressBurst: 1e6, Look: 1e6, LookBurst: 1e6}})
	listener := httptest.NewServer(api)
	ts.Defer(listener.Close)
	ts.Setenv("APPROOV_SERVER", listener.URL)
	ts.Setenv("APPROOV_MANAGEMENT_TOKEN", tokens.Dev())
	ts.Check(os.WriteFile(ts.MkAbs("dev.tok"), []byte(tokens.Dev()+"\n"), 0o600))
	ts.Check(os.WriteFile(ts.MkAbs("myadmin.tok"), []byte(tokens.Admin()+"\n"), 0o600))
	services.Store(ts, s)
}

// advanceCommand sets the service's clock forward.
func advanceCommand(ts *testscript.TestScript, neg bool, args []string) {
	found, ok := services.Load(ts)
	if neg || len(args) != 1 || !ok {
		ts.Fatalf("usage: advance DURATION, after service")
	}
	d, err := account.ParseDuration(args[0])
	ts.Check(err)
	s := found.(*service)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = s.now.Add(d)
}

// keepCommand puts what the last command has printed into a variable.
func keepCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: keep VARIABLE")
	}
	ts.Setenv(args[0], strings.TrimSpace(ts.ReadFile("stdout")))
}
