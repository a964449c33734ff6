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
	maxLooks        = 8 // at once
	maxAccountLooks = 4 // at once for one account, so that it cannot keep all others from adding domains
	maxTokenLooks   = 2 // at once under one management token
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
	if p := a.looks.begin(r.account.Name, r.by.TokenID); p != nil {
		return nil, p
	}
	defer a.looks.end(r.account.Name, r.by.TokenID)
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
	under map[looker]int
}

// looker is a management token that looks are under way for, and, without a token's ID, its account.
type looker struct{ account, token string }

// begin takes a place for a look, or says why there is none.
func (l *looks) begin(account, token string) *problem {
	l.mu.Lock()
	defer l.mu.Unlock()
	const busy = "%d domains of your %s are being looked at; wait until one is done"
	switch {
	case l.under[looker{account, token}] >= maxTokenLooks:
		return newProblem(attestapi.CodeRateLimited, 0, fmt.Sprintf(busy, maxTokenLooks, "management token"))
	case l.under[looker{account, ""}] >= maxAccountLooks:
		return newProblem(attestapi.CodeRateLimited, 0, fmt.Sprintf(busy, maxAccountLooks, "account"))
	case l.all >= maxLooks:
		return newProblem(attestapi.CodeUnavailable, 0, "the service looks at other domains just now; try again in a few seconds")
	}
	l.all++
	l.under[looker{account, token}]++
	l.under[looker{account, ""}]++
	return nil
}

func (l *looks) end(account, token string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all--
	for _, one := range []looker{{account, token}, {account, ""}} {
		if l.under[one]--; l.under[one] == 0 {
			delete(l.under, one)
		}
	}
}
