package manage

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/approovgate/approovgate/attestapi"
	"github.com/approovgate/approovgate/attestserver/account"
)

func (a *API) managementTokenRoutes(api huma.API) {
	register(a, api, endpoint{http.MethodGet, attestapi.PathManagementTokens, account.OpTokenList, "List the management tokens"}, a.listTokens)
	register(a, api, endpoint{http.MethodPost, attestapi.PathManagementTokens, account.OpTokenAdd, "Make a management token"}, a.addToken)
	register(a, api, endpoint{http.MethodDelete, attestapi.PathManagementTokens, account.OpTokenRevoke, "Revoke a management token"}, a.revokeToken)
}

func managementToken(t account.ManagementToken) attestapi.ManagementToken {
	return attestapi.ManagementToken{ID: t.ID, Email: t.Email, Name: t.Name, Role: string(t.Role), Issued: t.Issued, Expires: t.Expires}
}

func (a *API) listTokens(ctx context.Context, _ *nothing) (*answer[attestapi.ManagementTokens], error) {
	r := requestOf(ctx)
	live, err := r.account.LiveTokens(r.by, r.at)
	if err != nil {
		return nil, problemOf(err)
	}
	list := attestapi.ManagementTokens{Tokens: []attestapi.ManagementToken{}}
	for _, t := range live {
		list.Tokens = append(list.Tokens, managementToken(t))
	}
	return answered(r.account, list), nil
}

type addToken struct {
	Conditions
	Body attestapi.NewManagementToken
}

func (a *API) addToken(ctx context.Context, in *addToken) (*answer[attestapi.ManagementToken], error) {
	var made account.ManagementToken
	var text string
	acc, err := a.change(ctx, in.Conditions, func(acc *account.Account, by account.Actor, at time.Time) (err error) {
		made, text, err = acc.AddToken(by, at, a.o.Rand, account.NewToken{
			Email: in.Body.Email, Name: in.Body.Name, Role: account.Role(in.Body.Role), Lifetime: in.Body.Lifetime,
		})
		return err
	})
	if err != nil {
		return nil, err
	}
	t := managementToken(made)
	t.Token = text
	if in.DryRun { // there is no such token
		t.ID, t.Token = "", ""
	}
	return answered(acc, t), nil
}

type revokeToken struct {
	Conditions
	ID   string `query:"id" doc:"Of the token, as the list has it."`
	Text string `query:"token" doc:"In place of id: the whole token."`
}

func (a *API) revokeToken(ctx context.Context, in *revokeToken) (*answer[attestapi.Changed], error) {
	if (in.ID == "") == (in.Text == "") {
		return nil, newProblem(attestapi.CodeInvalid, 0, "the query must have either id or token")
	}
	acc, err := a.change(ctx, in.Conditions, func(acc *account.Account, by account.Actor, at time.Time) error {
		return acc.RevokeToken(by, at, in.ID+in.Text)
	})
	if err != nil {
		return nil, err
	}
	return changed(acc, in.Conditions), nil
}
