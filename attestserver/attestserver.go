// Package attestserver answers apps that attest themselves: it judges what an app says of itself by what its account
// knows, and gives tokens, good ones or decoys. Gates fetch their control documents and keys here too.
//
// It owns the attestation protocol's server side and the snapshot of accounts it answers from. What an account is and
// how it changes is package account's, keeping accounts is package store's, what keys sign is package issue's. It must
// not change an account, and nothing secret may reach a log line, a metric or an error.
//
// Start reading at Server.attest in attest.go, then verdict.go.
package attestserver

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/approovgate/approovgate/attestapi"
	"github.com/approovgate/approovgate/attestserver/account"
	"github.com/approovgate/approovgate/attestserver/evidence"
	"github.com/approovgate/approovgate/attestserver/store"
	"github.com/approovgate/approovgate/internal/logline"
)

// Store is what a server needs of a store.Store.
type Store interface {
	Generation(ctx context.Context) (int64, error)
	Accounts(ctx context.Context) ([]*account.Account, int64, error)
	Consume(ctx context.Context, nonces []store.Nonce) (fresh []bool, err error)
	Prune(ctx context.Context, now time.Time) (int, error)
	KeepFailures(ctx context.Context, failures []store.Failure) error
	PruneFailures(ctx context.Context, now time.Time) (int, error)
	Changed() <-chan struct{}
}

// Options are what a server is made of. Only Store is needed.
type Options struct {
	Store   Store
	Now     func() time.Time      // the clock; nil: time.Now
	Rand    io.Reader             // nonces and request ids; nil: crypto/rand
	Log     *slog.Logger          // nil: nothing is logged
	Metrics prometheus.Registerer // nil: nothing is registered

	// TrustedProxies are the addresses whose X-Forwarded-For is believed. None: the client is who connects.
	TrustedProxies []netip.Prefix
	// Evidence verifies what hardware and platforms say of apps, one for each type. None: evidence is ignored.
	Evidence []evidence.Verifier
	// Rules say what SDKs look for; nil: DefaultRules. Give a changed one a higher version.
	Rules *attestapi.Rules
	// MaxConcurrent bounds the requests that are worked on at once; more are answered 503. 0: 512.
	MaxConcurrent int
	// LogLines bounds the lines in a second for failed attestations of one account and flag. 0: 10; negative: no bound.
	LogLines int
	// Version is the server's, for PathWellKnown.
	Version string
}

// The defaults of Options.
const (
	defaultConcurrent = 512
	defaultLogLines   = 10
)

// Server answers attestations. It is safe for concurrent use.
type Server struct {
	o        Options
	log      *slog.Logger
	sampler  *logline.Sampler
	hide     func(device string) string
	metrics  *metrics
	failures *failures
	evidence *evidence.Set
	places   chan struct{} // one for each request that is worked on
	routes   map[string]route

	afterwards afterwards

	snapshot   atomic.Pointer[snapshot]
	health     atomic.Pointer[error] // of the last contact with the store; nil: none yet
	refreshing sync.Mutex            // held by whoever reads the store for a new snapshot

	noNonces, noAccounts standing // troubles with the store, for the log
}

// New makes a server. It serves nothing until Refresh or Run has read the accounts.
func New(o Options) (*Server, error) {
	if o.Store == nil {
		return nil, errors.New("attestserver: Options.Store is missing")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Rules == nil {
		o.Rules = DefaultRules()
	}
	if o.MaxConcurrent <= 0 {
		o.MaxConcurrent = defaultConcurrent
	}
	if o.LogLines == 0 {
		o.LogLines = defaultLogLines
	}
	set, err := evidence.NewSet(o.Evidence)
	if err != nil {
		return nil, err
	}
	s := &Server{
		o: o, log: o.Log, sampler: logline.NewSampler(o.LogLines), evidence: set,
		places: make(chan struct{}, o.MaxConcurrent), afterwards: newAfterwards(),
	}
	if s.hide, err = hideDevice(o.Rand, o.Now); err != nil {
		return nil, err
	}
	if s.metrics, err = newMetrics(s); err != nil {
		return nil, err
	}
	s.failures = &failures{store: o.Store, now: o.Now, dropped: s.metrics.failuresDropped, log: o.Log, writing: make(chan struct{}, 1)}
	s.routes = map[string]route{
		attestapi.PathChallenge: {http.MethodPost, s.challenge},
		attestapi.PathAttest:    {http.MethodPost, s.attest},
		attestapi.PathConfig:    {http.MethodPost, s.config},
		attestapi.PathHealth:    {http.MethodGet, s.healthy},
		attestapi.PathWellKnown: {http.MethodGet, s.describe},
		attestapi.PathControl:   {http.MethodGet, s.control},
		attestapi.PathKeys:      {http.MethodGet, s.keys},
	}
	return s, nil
}

// Account is an account as the server knows it: shared, not to be changed; nil if there is none.
func (s *Server) Account(name string) *account.Account {
	if c := s.find(name); c != nil {
		return c.account
	}
	return nil
}

// Accounts are all accounts as the server knows them: shared, not to be changed, in no order.
func (s *Server) Accounts() (all []*account.Account) {
	if snap := s.snapshot.Load(); snap != nil {
		for _, c := range snap.accounts {
			all = append(all, c.account)
		}
	}
	return all
}

// find is the compiled account of a name; nil if there is none.
func (s *Server) find(name string) *compiled {
	if snap := s.snapshot.Load(); snap != nil {
		return snap.accounts[name]
	}
	return nil
}

// Ready says what keeps the server from answering attestations; nil: nothing that it knows of.
func (s *Server) Ready() error {
	if s.snapshot.Load() == nil {
		return errors.New("the accounts have not been read yet")
	}
	if failure := s.health.Load(); failure != nil {
		return *failure
	}
	return nil
}

// contacted notes how the last contact with the store went.
func (s *Server) contacted(err error) {
	if err != nil {
		s.health.Store(&err)
		return
	}
	s.health.Store(nil)
}
