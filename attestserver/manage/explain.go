package manage

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/approovgate/approovgate/attestapi"
	"github.com/approovgate/approovgate/attestserver/account"
	"github.com/approovgate/approovgate/attestserver/store"
)

func (a *API) explanationRoutes(api huma.API) {
	register(a, api, endpoint{http.MethodGet, attestapi.PathExplanations, account.OpExplain, "Why the attestations of a request or a device failed, the newest first"}, a.explain)
}

type explain struct {
	Request  string `query:"rid" doc:"The rid of an attestation's answer. Give this or did."`
	DeviceID string `query:"did" doc:"A device ID."`
}

// isRequestID reports whether text is spelled like an attestation's request ID.
func isRequestID(text string) bool {
	const length = 16
	return len(text) == length && strings.Trim(text, "0123456789abcdef") == ""
}

func (in *explain) check() error {
	switch {
	case (in.Request == "") == (in.DeviceID == ""):
		return newProblem(attestapi.CodeInvalid, 0, "give either rid, an attestation's request ID, or did, a device ID")
	case in.Request != "" && !isRequestID(in.Request):
		return newProblem(attestapi.CodeInvalid, 0, "rid: want the 16 digits and letters, 0-9 and a-f, of an attestation's request ID")
	case in.DeviceID != "":
		if _, err := attestapi.ParseDeviceID(in.DeviceID); err != nil {
			return newProblem(attestapi.CodeInvalid, 0, "did: want base64 of 16 bytes, such as h4gubfCFzJu81j/U2BJsdg==")
		}
	}
	return nil
}

func (a *API) explain(ctx context.Context, in *explain) (*answer[attestapi.Explanations], error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	r := requestOf(ctx)
	if err := a.o.Keep(ctx); err != nil {
		return nil, problemOf(err)
	}
	found, err := a.o.Store.Failures(ctx, store.FailureQuery{
		Account: r.account.Name, Request: in.Request, Device: in.DeviceID, Limit: attestapi.MaxExplanations,
	})
	if err != nil {
		return nil, problemOf(err)
	}
	if len(found) == 0 {
		return nil, newProblem(attestapi.CodeNotFound, 0, unknown(r.account, in))
	}
	out := attestapi.Explanations{DeviceID: found[0].Device, Device: deviceState(r.account, found[0].Device), Explanations: []attestapi.Explanation{}}
	for _, f := range found {
		out.Explanations = append(out.Explanations, explanation(r.account, f, r.at))
	}
	if in.DeviceID != "" {
		out.Notes = append(out.Notes, "attestations that pass are not kept: the device may have passed since")
	}
	return answered(r.account, out), nil
}

// unknown says what it can mean that there is nothing to explain.
func unknown(acc *account.Account, in *explain) string {
	const why = "it passed, it failed more than %d days or %d failures ago, so many failed in that second that it was not kept, or it never reached this service"
	text := fmt.Sprintf(why, int(store.FailureAge.Hours()/24), store.MaxFailures)
	if in.Request != "" {
		return fmt.Sprintf("no failed attestation with the request ID %s is known: %s; a request that was answered with an error has that for an explanation, "+
			"and those for a nonce alone and of approov have IDs too", in.Request, text)
	}
	state, whose := deviceState(acc, in.DeviceID), "the account's"
	if state.Own {
		whose = "its own"
	}
	return fmt.Sprintf("no failed attestation of the device %s is known: %s (is its app one of the account %s?); the policy that applies to the device now is %s, %s",
		in.DeviceID, text, acc.Name, whose, state.Policy)
}
