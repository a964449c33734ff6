package manage

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/approovgate/approovgate/attestapi"
	"github.com/approovgate/approovgate/attestserver/account"
)

func (a *API) registrationRoutes(api huma.API) {
	register(a, api, endpoint{http.MethodGet, attestapi.PathRegistrations, account.OpRegistrationList, "List the registered apps"}, a.listRegistrations)
	register(a, api, endpoint{http.MethodPost, attestapi.PathRegistrations, account.OpRegistrationAdd, "Register an app"}, a.addRegistration)
	register(a, api, endpoint{http.MethodDelete, attestapi.PathRegistrations, account.OpRegistrationRemove, "Remove one registration, or all of a package that are older"}, a.removeRegistrations)
}

func (a *API) listRegistrations(ctx context.Context, _ *nothing) (*answer[attestapi.Registrations], error) {
	r := requestOf(ctx)
	list := attestapi.Registrations{Changed: attestapi.Changed{Version: r.account.Version}}
	list.Registrations = registrations(r.account, r.account.LiveRegistrations(r.at))
	return answered(r.account, list), nil
}

// registrations says of registrations what people want to know of them.
func registrations(acc *account.Account, live []account.Registration) []attestapi.Registration {
	list := []attestapi.Registration{}
	for _, r := range live {
		library, _ := acc.Library(r.Library, "") // a zero one says nothing
		list = append(list, attestapi.Registration{
			Signature: r.Signature(), Package: r.Package, Version: r.Version, Library: r.Library,
			Platform: library.Platform, SDKVersion: library.Version, Registered: r.Registered, Expires: r.Expires, By: r.By,
		})
	}
	return list
}

type addRegistration struct {
	Conditions
	Body attestapi.NewRegistration
}

func (a *API) addRegistration(ctx context.Context, in *addRegistration) (*answer[attestapi.Registered], error) {
	digest, err := account.ParseDigest(in.Body.Digest)
	if err != nil {
		return nil, problemOf(err)
	}
	var made account.Registration
	acc, err := a.change(ctx, in.Conditions, func(acc *account.Account, by account.Actor, at time.Time) (err error) {
		made, err = acc.AddRegistration(by, at, account.Registration{
			Digest: digest, Package: in.Body.Package, Version: in.Body.Version, Library: in.Body.Library,
		}, in.Body.Lifetime)
		return err
	})
	if err != nil {
		return nil, err
	}
	var notes []string
	if latest, newer := acc.NewerLibrary(made.Library); newer { // manual, "Registration Upgrade Messages"
		notes = append(notes, fmt.Sprintf("note: newer version %s of the Approov %s SDK is available", latest.Version, latest.Platform))
	}
	return answered(acc, attestapi.Registered{
		Changed: change(acc, in.Conditions, notes), Registration: registrations(acc, []account.Registration{made})[0],
	}), nil
}

type removeRegistrations struct {
	Conditions
	Signature string `query:"signature" doc:"Of the one registration to remove."`
	Package   string `query:"package" doc:"All of this package, older than older_than."`
	OlderThan string `query:"older_than" doc:"A duration, such as 30d, since they were last registered."`
}

func (a *API) removeRegistrations(ctx context.Context, in *removeRegistrations) (*answer[attestapi.Registrations], error) {
	one := in.Signature != ""
	if one == (in.Package != "" || in.OlderThan != "") || (!one && (in.Package == "" || in.OlderThan == "")) {
		return nil, newProblem(attestapi.CodeInvalid, 0, "the query must have either signature, or package and older_than")
	}
	var removed []account.Registration
	acc, err := a.change(ctx, in.Conditions, func(acc *account.Account, by account.Actor, at time.Time) (err error) {
		if one {
			var r account.Registration
			r, err = acc.RemoveRegistration(by, at, in.Signature)
			removed = []account.Registration{r}
			return err
		}
		removed, err = acc.RemoveMatching(by, at, in.Package, in.OlderThan)
		return err
	})
	if err != nil {
		return nil, err
	}
	return answered(acc, attestapi.Registrations{Changed: change(acc, in.Conditions, nil), Registrations: registrations(acc, removed)}), nil
}
