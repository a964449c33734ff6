package manage

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/approovgate/approovgate/attestapi"
	"github.com/approovgate/approovgate/attestserver/account"
)

func (a *API) keysetRoutes(api huma.API) {
	register(a, api, endpoint{http.MethodGet, attestapi.PathKeyset, account.OpKeysetRead, "The public keys for ES256 and RS256"}, a.readKeyset)
	register(a, api, endpoint{http.MethodPost, attestapi.PathKeyset, account.OpKeysetAdd, "Add a key to the keyset"}, a.addKey)
	register(a, api, endpoint{http.MethodDelete, attestapi.PathKeyset, account.OpKeysetRemove, "Remove a key from the keyset"}, a.removeKey)
}

func (a *API) readKeyset(ctx context.Context, _ *nothing) (*answer[attestapi.Keyset], error) {
	return keysetOf(requestOf(ctx).account)
}

func keysetOf(acc *account.Account) (*answer[attestapi.Keyset], error) {
	keys, err := acc.Keyset()
	if err != nil {
		return nil, internal(err)
	}
	return answered(acc, attestapi.Keyset{Keys: keys}), nil
}

type addKey struct {
	Conditions
	Body attestapi.NewKey
}

func (a *API) addKey(ctx context.Context, in *addKey) (*answer[attestapi.Keyset], error) {
	pair, err := account.NewKeyPair(in.Body.Alg, in.Body.ID, requestOf(ctx).at)
	if err != nil {
		return nil, problemOf(err)
	}
	acc, err := a.change(ctx, in.Conditions, func(acc *account.Account, by account.Actor, at time.Time) error {
		return acc.AddKey(by, at, pair)
	})
	if err != nil {
		return nil, err
	}
	if in.DryRun { // nobody is to pin a key that is not kept
		acc = requestOf(ctx).account
	}
	return keysetOf(acc)
}

type removeKey struct {
	Conditions
	ID string `query:"kid" required:"true"`
}

func (a *API) removeKey(ctx context.Context, in *removeKey) (*answer[attestapi.Changed], error) {
	acc, err := a.change(ctx, in.Conditions, func(acc *account.Account, by account.Actor, at time.Time) error {
		return acc.RemoveKey(by, at, in.ID)
	})
	if err != nil {
		return nil, err
	}
	return changed(acc, in.Conditions), nil
}
