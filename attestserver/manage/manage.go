// Package manage is the management API of the attestation service: what people and gates ask under a management
// token. It owns HTTP: routes, bounds, rate limits, problems, the OpenAPI document. What may be asked by whom and what
// comes of it is package account's; keeping it is package store's.
//
// Start reading at API.ServeHTTP (request.go), which is the way of every request, then at change (change.go), which
// is the way of every change. There is one file per endpoint.
package manage

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/approovgate/approovgate/attestapi"
	"github.com/approovgate/approovgate/attestserver/account"
	"github.com/approovgate/approovgate/attestserver/store"
)

// Store is what of a store.Store is needed here.
type Store interface {
	Change(ctx context.Context, name string, change func(*account.Account) error) (*account.Account, error)
	Audit(ctx context.Context, name string, before int64, limit int) ([]account.Entry, error)
	Failures(ctx context.Context, q store.FailureQuery) ([]store.Failure, error)
}

// Accounts are the accounts as this node knows them, which is what attestations are judged by.
type Accounts interface {
	// Account is an account, shared with others; nil if there is none.
	Account(name string) *account.Account
	// Ready is an error as long as accounts have never been read.
	Ready() error
}

// Options are what an API needs. Store and Accounts must be set.
type Options struct {
	Store    Store
	Accounts Accounts
	Refresh  func(context.Context) error // reads the accounts anew, after a change; nil: nothing does
	Keep     func(context.Context) error // writes failed attestations of the last moment, before they are asked for; nil: nothing does
	Now      func() time.Time            // nil: time.Now
	Rand     io.Reader                   // nil: crypto/rand
	Log      *slog.Logger                // nil: nowhere
	Version  string                      // of the server, in answers
	Address  func(*http.Request) string  // the client's address; nil: that of the connection
	Rates    Rates

	// Served is what is served on a domain right now. Its errors are shown to whoever asks. nil: nobody can look.
	Served func(ctx context.Context, domain string) (attestapi.ServedPins, error)
	// PinStatuses is what the pin monitor saw last of an account's domains; nil: there is no monitor.
	PinStatuses func(*account.Account) attestapi.PinStatuses
}

// API is the management API. It is an http.Handler for everything below attestapi.PathManage.
type API struct {
	o        Options
	mux      *http.ServeMux
	rights   map[string]map[string]account.Operation // of a path, of a method: what a role must be allowed
	openAPI  []byte
	tokens   *limiter // by ID of the token
	clients  *limiter // by address
	lookRate *limiter // by ID of the token: looks at domains
	looks    looks
}

// New makes an API. It starts nothing.
func New(o Options) *API {
	if o.Refresh == nil {
		o.Refresh = func(context.Context) error { return nil }
	}
	if o.Keep == nil {
		o.Keep = func(context.Context) error { return nil }
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Address == nil {
		o.Address = connectionAddress
	}
	o.Rates = o.Rates.orDefault()
	a := &API{o: o, mux: http.NewServeMux(), rights: map[string]map[string]account.Operation{},
		tokens: newLimiter(o.Rates.Token, o.Rates.TokenBurst), clients: newLimiter(o.Rates.Address, o.Rates.AddressBurst),
		lookRate: newLimiter(o.Rates.Look, o.Rates.LookBurst), looks: looks{under: map[looker]int{}}}
	api := humago.New(a.mux, a.config())
	a.routes(api)
	a.openAPI = document(api)
	return a
}

// routes registers every endpoint.
func (a *API) routes(api huma.API) {
	a.accountRoutes(api)
	a.domainRoutes(api)
	a.pinRoutes(api)
	a.registrationRoutes(api)
	a.settingRoutes(api)
	a.deviceRoutes(api)
	a.tokenRoutes(api)
	a.secretRoutes(api)
	a.keysetRoutes(api)
	a.sdkRoutes(api)
	a.managementTokenRoutes(api)
	a.gatewayRoutes(api)
	a.auditRoutes(api)
	a.explanationRoutes(api)
}
