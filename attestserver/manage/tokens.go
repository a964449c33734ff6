package manage

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/approovgate/approovgate/attestapi"
	"github.com/approovgate/approovgate/attestserver/account"
	"github.com/approovgate/approovgate/attestserver/issue"
)

func (a *API) tokenRoutes(api huma.API) {
	register(a, api, endpoint{http.MethodPost, attestapi.PathExampleToken, account.OpExampleToken, "Make a token to test with"}, a.exampleToken)
	register(a, api, endpoint{http.MethodPost, attestapi.PathLongLivedToken, account.OpLongLivedToken, "Make a token for a server"}, a.longLivedToken)
	register(a, api, endpoint{http.MethodPost, attestapi.PathCheckToken, account.OpCheckToken, "Say what a token is"}, a.checkToken)
}

type exampleToken struct{ Body attestapi.ExampleToken }

func (a *API) exampleToken(ctx context.Context, in *exampleToken) (*answer[attestapi.IssuedToken], error) {
	r := requestOf(ctx)
	d, err := r.account.Domain(in.Body.Domain)
	if err != nil {
		return nil, problemOf(err)
	}
	made, err := r.account.ExampleToken(r.by, r.at, d, in.Body.Type, in.Body.Data)
	if err != nil {
		return nil, problemOf(err)
	}
	return issued(r.account, d, made)
}

func issued(acc *account.Account, d account.Domain, made account.Handmade) (*answer[attestapi.IssuedToken], error) {
	text, err := issue.Mint(acc, d, made.Claims, made.Good)
	if err != nil {
		return nil, internal(err)
	}
	return answered(acc, attestapi.IssuedToken{Token: text, Expires: made.Expires}), nil
}

type longLivedToken struct {
	Conditions
	Body attestapi.LongLivedToken
}

func (a *API) longLivedToken(ctx context.Context, in *longLivedToken) (*answer[attestapi.IssuedToken], error) {
	var made account.Handmade
	acc, err := a.change(ctx, in.Conditions, func(acc *account.Account, by account.Actor, at time.Time) (err error) {
		made, err = acc.LongLivedToken(by, at, in.Body.Name, in.Body.Lifetime)
		return err
	})
	if err != nil {
		return nil, err
	}
	if in.DryRun {
		return answered(acc, attestapi.IssuedToken{Expires: made.Expires}), nil
	}
	return issued(acc, account.Domain{}, made)
}

type checkToken struct{ Body attestapi.CheckToken }

func (a *API) checkToken(ctx context.Context, in *checkToken) (*answer[attestapi.CheckedToken], error) {
	r := requestOf(ctx)
	return answered(r.account, issue.Check(r.account, in.Body.Token, r.at)), nil
}
