package manage

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/approovgate/approovgate/attestapi"
	"github.com/approovgate/approovgate/attestserver/account"
)

// Conditions are what every change takes besides what it changes. The name is exported for huma, which overlooks others.
type Conditions struct {
	IfMatch string `header:"If-Match" doc:"Make the change only if the account still has the version of this ETag."`
	DryRun  bool   `query:"dry_run" doc:"Judge and answer as always, and change nothing."`
}

// answer is an answer about the account.
type answer[T any] struct {
	ETag string `header:"ETag" doc:"The version of the account."`
	Body T
}

func answered[T any](a *account.Account, body T) *answer[T] {
	return &answer[T]{ETag: etag(a.Version), Body: body}
}

// changed answers with nothing but that it was done.
func changed(a *account.Account, c Conditions, notes ...string) *answer[attestapi.Changed] {
	return answered(a, change(a, c, notes))
}

func change(a *account.Account, c Conditions, notes []string) attestapi.Changed {
	return attestapi.Changed{Version: a.Version, DryRun: c.DryRun, Notes: notes}
}

func etag(version int64) string { return `"` + strconv.FormatInt(version, 10) + `"` }

// matches reports whether a version is one of those in If-Match (RFC 9110 §13.1.1).
func (c Conditions) matches(version int64) bool {
	if c.IfMatch == "" || strings.TrimSpace(c.IfMatch) == "*" {
		return true
	}
	for tag := range strings.SplitSeq(c.IfMatch, ",") {
		if strings.TrimSpace(tag) == etag(version) {
			return true
		}
	}
	return false
}

// errTried ends a dry run, so that the store keeps nothing of it.
var errTried = errors.New("manage: this was a dry run")

// change makes a change of the account, and returns it as it is then. f may be called more than once, each time with
// the account as it is: what f leaves in variables is of the last time.
func (a *API) change(ctx context.Context, c Conditions, f func(acc *account.Account, by account.Actor, at time.Time) error) (*account.Account, error) {
	r := requestOf(ctx)
	var tried *account.Account
	after, err := a.o.Store.Change(ctx, r.account.Name, func(acc *account.Account) error {
		by, err := acc.Verify(r.token, r.at) // it may have been revoked since this node read the account
		if err != nil {
			return err
		}
		if !c.matches(acc.Version) {
			return errStale
		}
		by.Request = r.id
		if !c.DryRun {
			return f(acc, by, r.at)
		}
		tried = acc.Clone()
		if err := f(tried, by, r.at); err != nil {
			return err
		}
		return errTried
	})
	switch {
	case errors.Is(err, errTried):
		return tried, nil
	case err != nil:
		return nil, problemOf(err)
	}
	if after.Version != r.account.Version {
		if err := a.o.Refresh(context.WithoutCancel(ctx)); err != nil { // the change is made, and this node learns of it in time
			a.o.Log.Warn("accounts could not be read after a change", "rid", r.id, "error", err.Error())
		}
	}
	return after, nil
}
