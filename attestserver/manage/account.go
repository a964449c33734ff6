package manage

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/approovgate/approovgate/attestapi"
	"github.com/approovgate/approovgate/attestserver/account"
)

// nothing is the input of what needs none.
type nothing struct{}

func (a *API) accountRoutes(api huma.API) {
	register(a, api, endpoint{http.MethodGet, attestapi.PathAccount, account.OpAccountRead, "Who asks, and of which account"}, a.readAccount)
}

func (a *API) readAccount(ctx context.Context, _ *nothing) (*answer[attestapi.AccountInfo], error) {
	r := requestOf(ctx)
	return answered(r.account, attestapi.AccountInfo{
		Account: r.account.Name, Version: r.account.Version, Server: a.o.Version,
		TokenID: r.by.TokenID, Role: string(r.by.Role), Email: r.by.Email, Name: r.by.Name, Expires: r.by.Expires,
	}), nil
}
