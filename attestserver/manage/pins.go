package manage

import (
	"context"
	"fmt"
	"net/http"
	"sync"

	"github.com/danielgtaylor/huma/v2"

	"github.com/approovgate/approovgate/attestapi"
	"github.com/approovgate/approovgate/attestserver/account"
)

// The bounds of looking at domains on somebody's order, besides Rates: it makes the service connect to others.
const (
	maxLooks      = 8 // at once
	maxTokenLooks = 2 // at once under one management token
)

func (a *API) pinRoutes(api huma.API) {
	register(a, api, endpoint{http.MethodGet, attestapi.PathPins, account.OpPinsRead, "Look at what certificates a domain serves, from the service"}, a.servedPins)
	register(a, api, endpoint{http.MethodGet, attestapi.PathPinStatus, account.OpPinsRead, "What the pin monitor saw last of every domain"}, a.pinStatuses)
}

type servedPins struct {
	Domain string `query:"domain" required:"true"`
}

// servedPins looks at a domain now, also at one that is not in the account yet (manual, "Pinning For New API Domains").
func (a *API) servedPins(ctx context.Context, in *servedPins) (*answer[attestapi.ServedPins], error) {
	r := requestOf(ctx)
	name, err := account.ParseDomainName(in.Domain)
	if err != nil {
		return nil, problemOf(err)
	}
	r.domain = name
	if a.o.Served == nil {
		return nil, newProblem(attestapi.CodeUnavailable, 0, "this service does not look at domains")
	}
	token := r.account.Name + " " + r.by.TokenID
	if wait, ok := a.lookRate.take(token, r.at); !ok {
		p := newProblem(attestapi.CodeRateLimited, 0, "too many domains are looked at with your management token; wait a little")
		p.wait = wait
		return nil, p
	}
	if p := a.looks.begin(token); p != nil {
		return nil, p
	}
	defer a.looks.end(token)
	served, err := a.o.Served(ctx, name)
	if err != nil {
		return nil, newProblem(attestapi.CodeUnreachable, 0, shorten(err.Error()))
	}
	return answered(r.account, served), nil
}

func (a *API) pinStatuses(ctx context.Context, _ *nothing) (*answer[attestapi.PinStatuses], error) {
	acc := requestOf(ctx).account
	if a.o.PinStatuses != nil {
		return answered(acc, a.o.PinStatuses(acc)), nil
	}
	off := attestapi.PinStatuses{Domains: []attestapi.PinStatus{}}
	for _, d := range acc.Domains {
		off.Domains = append(off.Domains, attestapi.PinStatus{Domain: d.Name, State: attestapi.PinsUnknown})
	}
	return answered(acc, off), nil
}

// looks counts the looks that are under way.
type looks struct {
	mu    sync.Mutex // guards the fields below
	all   int
	under map[string]int // a token
}

// begin takes a place for a look, or says why there is none.
func (l *looks) begin(token string) *problem {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.under[token] >= maxTokenLooks:
		return newProblem(attestapi.CodeRateLimited, 0, fmt.Sprintf("%d domains are being looked at with your management token; wait until one is done", maxTokenLooks))
	case l.all >= maxLooks:
		return newProblem(attestapi.CodeUnavailable, 0, "the service looks at other domains just now; try again in a few seconds")
	}
	l.all++
	l.under[token]++
	return nil
}

func (l *looks) end(token string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all--
	if l.under[token]--; l.under[token] == 0 {
		delete(l.under, token)
	}
}
