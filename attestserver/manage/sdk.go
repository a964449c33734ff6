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

func (a *API) sdkRoutes(api huma.API) {
	register(a, api, endpoint{http.MethodGet, attestapi.PathSDKConfig, account.OpConfigRead, "The initial SDK configuration"}, a.readConfig)
	register(a, api, endpoint{http.MethodGet, attestapi.PathSDKLibraries, account.OpLibraryList, "List the SDK libraries"}, a.listLibraries)
	register(a, api, endpoint{http.MethodPost, attestapi.PathSDKLibraries, account.OpLibraryAdd, "Make an SDK library"}, a.addLibrary)
	register(a, api, endpoint{http.MethodDelete, attestapi.PathSDKLibraries, account.OpLibraryRemove, "Remove an SDK library"}, a.removeLibrary)
	register(a, api, endpoint{http.MethodGet, attestapi.PathSDKLibrary, account.OpLibraryRead, "An SDK library as a file"}, a.readLibrary)
}

func (a *API) readConfig(ctx context.Context, _ *nothing) (*answer[attestapi.ConfigResponse], error) {
	r := requestOf(ctx)
	text, err := issue.Config(r.account, r.at)
	if err != nil {
		return nil, internal(err)
	}
	return answered(r.account, attestapi.ConfigResponse{Config: text}), nil
}

func library(l account.Library) attestapi.SDKLibrary {
	return attestapi.SDKLibrary{ID: l.ID, Platform: l.Platform, Version: l.Version, Created: l.Created}
}

func (a *API) listLibraries(ctx context.Context, _ *nothing) (*answer[attestapi.SDKLibraries], error) {
	acc := requestOf(ctx).account
	list := attestapi.SDKLibraries{Libraries: []attestapi.SDKLibrary{}}
	for _, l := range acc.LatestLibraries() {
		list.Libraries = append(list.Libraries, library(l))
	}
	return answered(acc, list), nil
}

type addLibrary struct {
	Conditions
	Body attestapi.NewLibraryOrder
}

func (a *API) addLibrary(ctx context.Context, in *addLibrary) (*answer[attestapi.SDKLibrary], error) {
	var made account.Library
	acc, err := a.change(ctx, in.Conditions, func(acc *account.Account, by account.Actor, at time.Time) (err error) {
		made, err = acc.AddLibrary(by, at, a.o.Rand, in.Body.Platform, in.Body.Version)
		return err
	})
	if err != nil {
		return nil, err
	}
	l := library(made)
	if !in.DryRun { // nobody is to build an app with a library that is not kept
		l.File = acc.File(made)
	}
	return answered(acc, l), nil
}

type removeLibrary struct {
	Conditions
	ID string `query:"id" required:"true"`
}

func (a *API) removeLibrary(ctx context.Context, in *removeLibrary) (*answer[attestapi.Changed], error) {
	acc, err := a.change(ctx, in.Conditions, func(acc *account.Account, by account.Actor, at time.Time) error {
		return acc.RemoveLibrary(by, at, in.ID)
	})
	if err != nil {
		return nil, err
	}
	return changed(acc, in.Conditions), nil
}

type readLibrary struct {
	ID       string `query:"id" doc:"Default: the latest."`
	Platform string `query:"platform" doc:"Such as Go."`
}

func (a *API) readLibrary(ctx context.Context, in *readLibrary) (*answer[attestapi.SDKLibrary], error) {
	acc := requestOf(ctx).account
	found, err := acc.Library(in.ID, in.Platform)
	if err != nil {
		return nil, problemOf(err)
	}
	l := library(found)
	l.File = acc.File(found)
	return answered(acc, l), nil
}
