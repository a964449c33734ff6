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

func (a *API) gatewayRoutes(api huma.API) {
	register(a, api, endpoint{http.MethodGet, attestapi.PathGateway, account.OpGatewayRead, "What a gate was told last"}, a.readGateway)
	register(a, api, endpoint{http.MethodPut, attestapi.PathGateway, account.OpGatewaySet, "Tell gates what to do for a time"}, a.setGateway)
	register(a, api, endpoint{http.MethodGet, attestapi.PathGatewayKeys, account.OpGatewayKeys, "The public key that gates pin"}, a.readGatewayKeys)
}

type readGateway struct {
	Gate string `query:"gate" required:"true" doc:"The gate's name, as its policy has it."`
}

func (a *API) readGateway(ctx context.Context, in *readGateway) (*answer[attestapi.GatewayMode], error) {
	r := requestOf(ctx)
	mode, err := gatewayMode(r.account, []string{in.Gate}, r.at)
	if err != nil {
		return nil, problemOf(err)
	}
	return answered(r.account, mode), nil
}

// gatewayMode is what gates that were told the same are told. The version is that of the last one to be told.
func gatewayMode(acc *account.Account, gates []string, at time.Time) (attestapi.GatewayMode, error) {
	mode := attestapi.GatewayMode{Gates: gates}
	for _, gate := range gates {
		c, err := acc.GateControl(gate)
		if err != nil {
			return attestapi.GatewayMode{}, err
		}
		mode.Version = max(mode.Version, issue.ControlVersion(c))
		if c.Until.IsZero() || !c.Until.After(at) {
			continue // there is no override, or it is over
		}
		mode.Mode, mode.Routes, mode.Until, mode.Reason, mode.By = c.Mode, c.Routes, c.Until, c.Reason, c.By
	}
	return mode, nil
}

type setGateway struct {
	Conditions
	Body attestapi.GatewayMode
}

func (a *API) setGateway(ctx context.Context, in *setGateway) (*answer[attestapi.GatewayMode], error) {
	acc, err := a.change(ctx, in.Conditions, func(acc *account.Account, by account.Actor, at time.Time) error {
		return acc.SetControl(by, at, in.Body.Gates, account.Override{
			Mode: in.Body.Mode, Routes: in.Body.Routes, For: in.Body.For, Until: in.Body.Until, Reason: in.Body.Reason,
		})
	})
	if err != nil {
		return nil, err
	}
	mode, err := gatewayMode(acc, in.Body.Gates, requestOf(ctx).at)
	if err != nil {
		return nil, problemOf(err)
	}
	return answered(acc, mode), nil
}

func (a *API) readGatewayKeys(ctx context.Context, _ *nothing) (*answer[attestapi.GatewayKeys], error) {
	acc := requestOf(ctx).account
	text, err := acc.GatewayKey()
	if err != nil {
		return nil, internal(err)
	}
	return answered(acc, attestapi.GatewayKeys{PublicKey: text}), nil
}
