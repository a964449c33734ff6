package main

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/approovgate/approovgate/attestapi"
	"github.com/approovgate/approovgate/internal/manageclient"
)

func TestProblems(t *testing.T) {
	refusal := func(status int, code, detail string) error {
		return fmt.Errorf("wrapped: %w", &manageclient.Refusal{Problem: attestapi.Problem{Status: status, Code: code, Detail: detail, Request: "r-1"}})
	}
	for _, row := range []struct {
		name       string
		err        error
		text, json string
		exit       int
	}{
		{"a mistake in the command line", misuse{errors.New("unknown flag -x")}, "approov: unknown flag -x\n",
			`{"code":"usage","detail":"unknown flag -x","exit":2}`, exitUsage},
		{"no token", badToken{errors.New("no management token")}, "approov: no management token\n",
			`{"code":"no_token","detail":"no management token","exit":3}`, exitToken},
		{"a refusal", refusal(409, "conflict", "it is there already"), "approov: wrapped: it is there already (request r-1)\n",
			`{"code":"conflict","detail":"wrapped: it is there already","rid":"r-1","exit":1}`, exitRefused},
		{"a token that is not accepted", while{refusal(401, "unauthorized", "no"), "getting libraries"},
			invalidToken + "\nerror Forbidden while getting libraries\nnote: request r-1\n",
			`{"code":"unauthorized","detail":"` + invalidToken + `\nerror Forbidden while getting libraries","rid":"r-1","exit":3}`, exitToken},
		{"a database that is away", refusal(503, "unavailable", "try later"), "approov: wrapped: try later (request r-1)\n",
			`{"code":"unavailable","detail":"wrapped: try later","rid":"r-1","exit":4}`, exitUnreachable},
		{"a 403 that says nothing of the token", refusal(403, "", "no"), "approov: wrapped: no (request r-1)\n",
			`{"code":"failed","detail":"wrapped: no","rid":"r-1","exit":1}`, exitRefused},
		{"a server without codes", refusal(500, "", "oh"), "approov: wrapped: oh (request r-1)\n",
			`{"code":"failed","detail":"wrapped: oh","rid":"r-1","exit":1}`, exitRefused},
		{"what could steer a terminal", errors.New("a\x1b[2Jb\u202ec\nd"), "approov: a\uFFFD[2Jb\uFFFDc\uFFFDd\n",
			`{"code":"failed","detail":"a\u001b[2Jb\u202ec\nd","exit":1}`, exitRefused},
		{"a check whose answer was printed", errNegative, "", "", exitRefused},
	} {
		for _, inJSON := range []bool{false, true} {
			var out bytes.Buffer
			c := &console{stderr: &out, inJSON: inJSON}
			want := row.text
			if inJSON && row.json != "" {
				want = row.json + "\n"
			}
			if exit := c.failed(row.err); exit != row.exit || out.String() != want {
				t.Errorf("%s, as JSON %v: got %d and %q, want %d and %q", row.name, inJSON, exit, out.String(), row.exit, want)
			}
			if inJSON && strings.Count(out.String(), "\n") > 1 {
				t.Errorf("%s: got more than one line", row.name)
			}
		}
	}
}
