package manage

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/approovgate/approovgate/attestapi"
	"github.com/approovgate/approovgate/attestserver/account"
)

func (a *API) domainRoutes(api huma.API) {
	register(a, api, endpoint{http.MethodGet, attestapi.PathDomains, account.OpDomainList, "List the API domains"}, a.listDomains)
	register(a, api, endpoint{http.MethodPost, attestapi.PathDomains, account.OpDomainAdd, "Add an API domain, or change it"}, a.addDomain)
	register(a, api, endpoint{http.MethodPut, attestapi.PathDomains, account.OpDomainSet, "Replace all API domains"}, a.setDomains)
	register(a, api, endpoint{http.MethodDelete, attestapi.PathDomains, account.OpDomainRemove, "Remove an API domain"}, a.removeDomain)
}

func (a *API) listDomains(ctx context.Context, _ *nothing) (*answer[attestapi.Domains], error) {
	acc := requestOf(ctx).account
	list := attestapi.Domains{Domains: []attestapi.APIDomain{}}
	for _, d := range acc.Domains {
		list.Domains = append(list.Domains, attestapi.APIDomain{
			Domain: d.Name, Format: string(d.Format), KeyID: d.KeyID, Pins: append([]string{}, d.Pins...), Demo: d.Name == acc.DemoDomain,
		})
	}
	return answered(acc, list), nil
}

type addDomain struct {
	Conditions
	Body attestapi.APIDomain
}

// demoNote is what whoever changes the demonstration domain is told (manual, "Setting Pin Configuration").
const demoNote = "changes of the demonstration domain are ignored"

func (a *API) addDomain(ctx context.Context, in *addDomain) (*answer[attestapi.Changed], error) {
	var notes []string
	acc, err := a.change(ctx, in.Conditions, func(acc *account.Account, by account.Actor, at time.Time) error {
		notes = nil
		if _, err := acc.Domain(acc.DemoDomain); err == nil && strings.EqualFold(in.Body.Domain, acc.DemoDomain) {
			notes = []string{demoNote}
		}
		return acc.AddDomain(by, at, domainOf(in.Body))
	})
	if err != nil {
		return nil, err
	}
	return changed(acc, in.Conditions, notes...), nil
}

func domainOf(d attestapi.APIDomain) account.Domain {
	return account.Domain{Name: d.Domain, Format: account.Format(d.Format), KeyID: d.KeyID, Pins: d.Pins}
}

type setDomains struct {
	Conditions
	Body attestapi.Domains
}

// setDomains says in its notes what changes, or would on a dry run.
func (a *API) setDomains(ctx context.Context, in *setDomains) (*answer[attestapi.Changed], error) {
	if in.Body.Domains == nil { // a list that somebody forgot must not remove all there are
		return nil, newProblem(attestapi.CodeInvalid, 0, "domains: it is null; give the list of domains, which may be empty")
	}
	var wanted []account.Domain
	for _, d := range in.Body.Domains {
		wanted = append(wanted, domainOf(d))
	}
	var notes []string
	acc, err := a.change(ctx, in.Conditions, func(acc *account.Account, by account.Actor, at time.Time) error {
		changes, err := acc.SetDomains(by, at, wanted)
		notes = nil
		for _, c := range changes {
			notes = append(notes, describeChange(c))
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return changed(acc, in.Conditions, notes...), nil
}

// describeChange is one line: "changes pins and token format of api.example.com".
func describeChange(c account.DomainChange) string {
	switch c.Op {
	case account.OpDomainAdd:
		return "adds " + c.Name
	case account.OpDomainRemove:
		return "removes " + c.Name
	case account.OpDomainChange:
		var parts []string
		for _, part := range c.Parts {
			parts = append(parts, string(part))
		}
		return "changes " + strings.Join(parts, " and ") + " of " + c.Name
	}
	return demoNote
}

type removeDomain struct {
	Conditions
	Domain string `query:"domain" required:"true"`
}

func (a *API) removeDomain(ctx context.Context, in *removeDomain) (*answer[attestapi.Changed], error) {
	acc, err := a.change(ctx, in.Conditions, func(acc *account.Account, by account.Actor, at time.Time) error {
		return acc.RemoveDomain(by, at, in.Domain)
	})
	if err != nil {
		return nil, err
	}
	return changed(acc, in.Conditions), nil
}
