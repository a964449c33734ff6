package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/approovgate/approovgate/attestapi"
	"github.com/approovgate/approovgate/internal/manageclient"
)

// problem is why something was not done. As JSON, which -json asks for, it is one line, the last on standard error.
type problem struct {
	Code    string `json:"code"`          // the server's, see attestapi's Code constants, or one of those below
	Detail  string `json:"detail"`        // for people
	Request string `json:"rid,omitempty"` // names the request in the server's log
	Exit    int    `json:"exit"`          // the exit status
}

// The codes of problems that are not the server's.
const (
	codeFailed      = "failed"
	codeUsage       = "usage"
	codeToken       = "no_token"
	codeUnreachable = "unreachable"
)

// problemOf tells what an error is.
func problemOf(err error) problem {
	var wrong misuse
	var token badToken
	var refused *manageclient.Refusal
	var away *manageclient.Unreachable
	switch {
	case errors.As(err, &wrong):
		return problem{Code: codeUsage, Detail: err.Error(), Exit: exitUsage}
	case errors.As(err, &token):
		return problem{Code: codeToken, Detail: err.Error(), Exit: exitToken}
	case errors.As(err, &away):
		return problem{Code: codeUnreachable, Detail: err.Error(), Exit: exitUnreachable}
	case !errors.As(err, &refused):
		return problem{Code: codeFailed, Detail: err.Error(), Exit: exitRefused}
	}
	p := problem{Code: refused.Code, Detail: err.Error(), Request: refused.Request, Exit: exitRefused}
	switch {
	case refused.Status == http.StatusUnauthorized:
		p.Code, p.Detail, p.Exit = attestapi.CodeUnauthorized, invalidToken+"\n"+forbidden(err), exitToken
	case refused.Code == attestapi.CodeForbidden: // a good token, and not good for this
		p.Exit = exitToken
	case refused.Code == attestapi.CodeUnavailable:
		p.Exit = exitUnreachable
	case refused.Code == "": // not an attestation server's own answer
		p.Code = codeFailed
	}
	return p
}

// failed prints why something was not done, and returns the exit status.
func (c *console) failed(err error) int {
	if errors.Is(err, errNegative) {
		return exitRefused // has been printed
	}
	p := problemOf(err)
	switch {
	case c.inJSON:
		p.Detail = strings.TrimSuffix(p.Detail, " (request "+p.Request+")")
		text, err := json.Marshal(p)
		if err != nil {
			c.complain(err)
			break
		}
		fmt.Fprintln(c.stderr, escaped(string(text)))
	case p.Code == attestapi.CodeUnauthorized && p.Exit == exitToken:
		fmt.Fprintln(c.stderr, invalidToken) // as the manual prints both lines, without a name before them
		fmt.Fprintln(c.stderr, shown(p.Detail[len(invalidToken)+1:]))
		if p.Request != "" {
			c.note("note: request %s", p.Request)
		}
	default:
		c.complain(err)
	}
	return p.Exit
}

// wantsJSON reports whether a command line asks for JSON. It also looks at one that cannot be read.
func wantsJSON(args []string) bool {
	return slices.ContainsFunc(args, func(arg string) bool { return arg == "-json" || arg == "--json" })
}
