package manage

import (
	"context"
	"encoding/base64"
	"time"

	"github.com/approovgate/approovgate/attestapi"
	"github.com/approovgate/approovgate/attestserver/account"
)

func (a *API) readMessageKey(ctx context.Context, _ *nothing) (*answer[attestapi.MessageSigningKey], error) {
	r := requestOf(ctx)
	return messageKeyOf(r.account, r.by)
}

func messageKeyOf(acc *account.Account, by account.Actor) (*answer[attestapi.MessageSigningKey], error) {
	key, err := acc.ReadMessageKey(by)
	if err != nil {
		return nil, problemOf(err)
	}
	return answered(acc, attestapi.MessageSigningKey{ID: key.ID, Key: base64.RawURLEncoding.EncodeToString(key.Material.Bytes())}), nil
}

type changeMessageKey struct{ Conditions }

func (a *API) changeMessageKey(ctx context.Context, in *changeMessageKey) (*answer[attestapi.MessageSigningKey], error) {
	acc, err := a.change(ctx, in.Conditions, func(acc *account.Account, by account.Actor, at time.Time) error {
		return acc.ChangeMessageKey(by, at, a.o.Rand)
	})
	if err != nil {
		return nil, err
	}
	if in.DryRun { // the key that was tried is nobody's
		return answered(acc, attestapi.MessageSigningKey{}), nil
	}
	return messageKeyOf(acc, requestOf(ctx).by)
}

type removeMessageKey struct{ Conditions }

func (a *API) removeMessageKey(ctx context.Context, in *removeMessageKey) (*answer[attestapi.Changed], error) {
	acc, err := a.change(ctx, in.Conditions, func(acc *account.Account, by account.Actor, at time.Time) error {
		return acc.RemoveMessageKey(by, at)
	})
	if err != nil {
		return nil, err
	}
	return changed(acc, in.Conditions), nil
}
