package manage

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/approovgate/approovgate/attestapi"
	"github.com/approovgate/approovgate/attestserver/account"
)

func (a *API) auditRoutes(api huma.API) {
	register(a, api, endpoint{http.MethodGet, attestapi.PathAudit, account.OpAuditRead, "The account's changes, the newest first"}, a.readAudit)
}

type readAudit struct {
	Before int64 `query:"before" minimum:"1" doc:"Entries with a lower number. Default: the newest."`
	Limit  int   `query:"limit" minimum:"1" maximum:"500" default:"50"`
}

func (a *API) readAudit(ctx context.Context, in *readAudit) (*answer[attestapi.Audit], error) {
	r := requestOf(ctx)
	entries, err := a.o.Store.Audit(ctx, r.account.Name, in.Before, in.Limit)
	if err != nil {
		return nil, problemOf(err)
	}
	page := attestapi.Audit{Entries: []attestapi.AuditEntry{}}
	for _, e := range entries {
		page.Entries = append(page.Entries, attestapi.AuditEntry{
			Sequence: e.Sequence, At: e.At, By: e.By, Role: string(e.Role),
			Action: e.Action, Subject: e.Subject, Detail: e.Detail, Request: e.Request,
		})
	}
	if len(entries) == in.Limit {
		page.Next = entries[len(entries)-1].Sequence
	}
	return answered(r.account, page), nil
}
