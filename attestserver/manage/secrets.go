package manage

import (
	"context"
	"encoding/base64"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/approovgate/approovgate/attestapi"
	"github.com/approovgate/approovgate/attestserver/account"
)

func (a *API) secretRoutes(api huma.API) {
	register(a, api, endpoint{http.MethodGet, attestapi.PathSecret, account.OpSecretRead, "The token secret, or the demonstration domain's"}, a.readSecret)
	register(a, api, endpoint{http.MethodPost, attestapi.PathSecretUpdate, account.OpSecretUpdate, "Replace the token secret by a new one"}, a.updateSecret)
	register(a, api, endpoint{http.MethodPost, attestapi.PathSecretImport, account.OpSecretImport, "Take over an existing token secret"}, a.importSecret)
}

type readSecret struct {
	Domain string `query:"domain" doc:"The demonstration domain, for its secret."`
}

func (a *API) readSecret(ctx context.Context, in *readSecret) (*answer[attestapi.Secret], error) {
	r := requestOf(ctx)
	if in.Domain == "" {
		return secretOf(r.account, r.by)
	}
	text, err := r.account.DemoSecret(r.by, in.Domain)
	if err != nil {
		return nil, problemOf(err)
	}
	return answered(r.account, attestapi.Secret{Secret: text}), nil
}

func secretOf(acc *account.Account, by account.Actor) (*answer[attestapi.Secret], error) {
	text, err := acc.TokenSecret(by)
	if err != nil {
		return nil, problemOf(err)
	}
	return answered(acc, attestapi.Secret{Secret: text}), nil
}

type updateSecret struct{ Conditions }

func (a *API) updateSecret(ctx context.Context, in *updateSecret) (*answer[attestapi.Secret], error) {
	acc, err := a.change(ctx, in.Conditions, func(acc *account.Account, by account.Actor, at time.Time) error {
		return acc.UpdateSecret(by, at, a.o.Rand)
	})
	if err != nil {
		return nil, err
	}
	if in.DryRun { // the secret that was tried is nobody's
		return answered(acc, attestapi.Secret{}), nil
	}
	return secretOf(acc, requestOf(ctx).by)
}

type importSecret struct {
	Conditions
	Body attestapi.Secret
}

// importSecret does not repeat the secret: whoever asks has it.
func (a *API) importSecret(ctx context.Context, in *importSecret) (*answer[attestapi.Changed], error) {
	secret, err := base64.StdEncoding.DecodeString(strings.TrimSpace(in.Body.Secret))
	if err != nil {
		return nil, newProblem(attestapi.CodeInvalid, 0, "secret: it is not base64; give the text that the service it comes from prints")
	}
	acc, err := a.change(ctx, in.Conditions, func(acc *account.Account, by account.Actor, at time.Time) error {
		return acc.ImportSecret(by, at, secret)
	})
	if err != nil {
		return nil, err
	}
	return changed(acc, in.Conditions), nil
}
