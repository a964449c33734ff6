package manage

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/approovgate/approovgate/attestapi"
	"github.com/approovgate/approovgate/attestserver/account"
)

func (a *API) settingRoutes(api huma.API) {
	register(a, api, endpoint{http.MethodGet, attestapi.PathPolicy, account.OpPolicyRead, "The security policy"}, a.readPolicy)
	register(a, api, endpoint{http.MethodPut, attestapi.PathPolicy, account.OpPolicySet, "Set the security policy"}, a.setPolicy)
	register(a, api, endpoint{http.MethodGet, attestapi.PathIPTracking, account.OpIPTrackingRead, "The IP tracking policy"}, a.readIPTracking)
	register(a, api, endpoint{http.MethodPut, attestapi.PathIPTracking, account.OpIPTrackingSet, "Set the IP tracking policy"}, a.setIPTracking)
}

func (a *API) readPolicy(ctx context.Context, _ *nothing) (*answer[attestapi.PolicySetting], error) {
	acc := requestOf(ctx).account
	return answered(acc, attestapi.PolicySetting{Policy: acc.Policy.String()}), nil
}

type setPolicy struct {
	Conditions
	Body attestapi.PolicySetting
}

func (a *API) setPolicy(ctx context.Context, in *setPolicy) (*answer[attestapi.Changed], error) {
	p, err := account.ParsePolicy(in.Body.Policy)
	if err != nil {
		return nil, problemOf(err)
	}
	acc, err := a.change(ctx, in.Conditions, func(acc *account.Account, by account.Actor, at time.Time) error {
		return acc.SetPolicy(by, at, p)
	})
	if err != nil {
		return nil, err
	}
	return changed(acc, in.Conditions, policyNotes(p)...), nil
}

// policyNotes warn of what the manual advises against for a whole account ("Rejection Policies", "Annotation Results").
func policyNotes(p account.Policy) (notes []string) {
	switch p.Rejection {
	case account.RejectWhitelist:
		notes = append(notes, "WARNING: whitelist gives valid tokens to apps that are not registered; it is meant for single devices")
	case account.RejectBlacklist:
		notes = append(notes, "WARNING: blacklist rejects every app; it is meant for single devices")
	}
	if p.Annotation == account.AnnotateAll {
		notes = append(notes, "WARNING: with the annotation policy all, tokens tell attackers why they were rejected; use it in early development only, or with JWE tokens")
	}
	return notes
}

func (a *API) readIPTracking(ctx context.Context, _ *nothing) (*answer[attestapi.IPTrackingSetting], error) {
	acc := requestOf(ctx).account
	return answered(acc, attestapi.IPTrackingSetting{Tracking: string(acc.Tracking())}), nil
}

type setIPTracking struct {
	Conditions
	Body attestapi.IPTrackingSetting
}

func (a *API) setIPTracking(ctx context.Context, in *setIPTracking) (*answer[attestapi.Changed], error) {
	acc, err := a.change(ctx, in.Conditions, func(acc *account.Account, by account.Actor, at time.Time) error {
		return acc.SetIPTracking(by, at, account.IPTracking(in.Body.Tracking))
	})
	if err != nil {
		return nil, err
	}
	return changed(acc, in.Conditions), nil
}
