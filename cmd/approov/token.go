package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/approovgate/approovgate/attestapi"
	"github.com/approovgate/approovgate/internal/manageclient"
)

func tokenVerb() verb {
	return verb{
		name:  "token",
		about: "tokens to test with, tokens for servers, and what a token says",
		actions: []action{
			{option{"check", "JWT", "is a token valid, and what does it say; also a loggable one; -: from input"}, nil, nil, (*call).checkToken},
			{option{"genExample", "DOMAIN", "a token like an app's, valid for an hour"}, nil, []string{"type", "setDataHashInToken"}, (*call).exampleToken},
			{option{"genLongLived", "NAME,LIFETIME", "a token for a server, such as server-token,90d; admin"}, nil, nil, (*call).longLivedToken},
		},
		options: []option{
			{"type", "TYPE", "valid, invalid, expired or failover; default: valid"},
			{"setDataHashInToken", "TEXT", "bind it to a text, as the SDK does"},
		},
	}
}

const maxCheckedToken = 64 << 10 // bytes of a token on standard input

// checkToken says whether a token is valid and unexpired, which are two things. If it is not both the check fails.
func (c *call) checkToken() error {
	text := c.value()
	if text == "-" {
		read, err := io.ReadAll(io.LimitReader(c.stdin, maxCheckedToken))
		if err != nil {
			return fmt.Errorf("standard input: %w", err)
		}
		text = string(read)
	}
	var checked attestapi.CheckedToken
	answer, err := c.ask(manageclient.Request{Method: http.MethodPost, Path: attestapi.PathCheckToken,
		Body: attestapi.CheckToken{Token: bareToken(text)}}, &checked)
	if err != nil {
		return while{err, "checking the token"}
	}
	if !c.printIfJSON(answer) {
		c.say("%s", verdictText(checked))
	}
	if !checked.Valid || checked.Expired {
		return errNegative
	}
	return nil
}

// bareToken is a token without the header's name and scheme that stand before it where requests are shown or logged.
func bareToken(text string) string {
	text = strings.TrimSpace(text)
	if strings.HasPrefix(text, "{") { // a loggable one, which may have spaces
		return text
	}
	return text[strings.LastIndexAny(text, " \t")+1:]
}

// verdictText is the manual's line (manual, "Checking Token Validity", "Loggable Tokens", "Extracting the Device ID").
// An invalid token that has not expired is shown without its kind there.
func verdictText(t attestapi.CheckedToken) string {
	if t.Kind == "" {
		return "invalid: not a token"
	}
	words := []string{"invalid:"}
	if t.Valid {
		words[0] = "valid:"
	}
	if t.Expired {
		words = append(words, "expired")
	}
	loggable := strings.HasPrefix(t.Kind, "loggable")
	if t.Valid || t.Expired || t.Claims == "" || loggable {
		words = append(words, t.Kind)
	}
	if t.Claims != "" && !loggable {
		words = append(words, t.Claims)
	}
	return strings.Join(words, " ")
}

func (c *call) exampleToken() error {
	var issued attestapi.IssuedToken
	answer, err := c.change(manageclient.Request{Method: http.MethodPost, Path: attestapi.PathExampleToken,
		Body: attestapi.ExampleToken{Domain: c.value(), Type: c.text("type"), Data: c.text("setDataHashInToken")}}, &issued)
	if err != nil || c.has("json") {
		return c.finish(answer, err)
	}
	c.say("%s", issued.Token)
	return nil
}

// longLivedToken prints the token alone on standard output.
func (c *call) longLivedToken() error {
	at := strings.LastIndexByte(c.value(), ',')
	if at < 1 || at == len(c.value())-1 {
		return misuse{errors.New("-genLongLived must be a name and a lifetime, such as server-token,90d")}
	}
	var issued attestapi.IssuedToken
	answer, err := c.change(manageclient.Request{Method: http.MethodPost, Path: attestapi.PathLongLivedToken,
		Body: attestapi.LongLivedToken{Name: c.value()[:at], Lifetime: strings.TrimSpace(c.value()[at+1:])}}, &issued)
	if err != nil || c.has("json") {
		return c.finish(answer, err)
	}
	c.note("token will expire at %s", c.timeText(issued.Expires))
	c.note("WARNING: Long lived token should never be integrated into public clients and their security must be carefully managed")
	if issued.Token != "" {
		c.say("%s", issued.Token)
	}
	return nil
}
