package sdk

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/approovgate/approovgate/attestapi"
)

// TestNothingShowsASecret prints everything the package hands out, in every way, and looks for keys, tokens, nonces and
// bound data in it, in every spelling.
func TestNothingShowsASecret(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		config := w.config()
		c := w.start(nil)
		c.SetDataHashInToken("the-bound-data")
		good := c.FetchToken(t.Context(), "api.example.com")
		transport := c.Transport(nil)
		printed := []any{config, &config, c, transport, good, &good}
		for _, fail := range []answers{status(500), says("nonce-1 the-answer"), func(w http.ResponseWriter, r *http.Request) {
			problem(w, 400, attestapi.CodeMalformed)
		}} {
			w.service.set(func() {
				w.service.hook = func(w http.ResponseWriter, r *http.Request, _ int) bool { fail(w, r); return true }
			})
			time.Sleep(10 * time.Minute)
			r := c.FetchToken(t.Context(), "api.example.com")
			if r.Status == Success {
				t.Fatal("got a token, want a failure to print")
			}
			printed = append(printed, r, r.Err, &StatusError{Status: r.Status, Domain: "api.example.com", Cause: r.Err})
		}
		key := w.service.library.Key()
		secrets := map[string]string{
			"the library's key, as bytes":    string(key),
			"the library's key, in decimal":  strings.Trim(fmt.Sprint(key), "[]"),
			"the library's key, in Go":       "0xa1, 0x0, 0x0",
			"the library's key, in hex":      hex.EncodeToString(key),
			"the library's key, in base64":   base64.StdEncoding.EncodeToString(key),
			"the library's file":             string(config.Library[40:80]),
			"the library's file, in decimal": strings.Trim(fmt.Sprint(config.Library[40:60]), "[]"),
			"the token":                      good.Token,
			"the token's signature":          good.Token[strings.LastIndexByte(good.Token, '.')+1:],
			"a nonce":                        "nonce-",
			"the bound data":                 "the-bound-data",
			"an answer":                      "the-answer",
		}
		for _, value := range printed {
			for _, text := range spellings(value) {
				for what, secret := range secrets {
					if strings.Contains(text, secret) {
						t.Errorf("%T shows %s", value, what)
					}
				}
			}
		}
		for what, secret := range secrets {
			if strings.Contains(w.logged.String(), secret) {
				t.Errorf("the log shows %s", what)
			}
		}
	})
}

func spellings(value any) []string {
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("text", "value", value)
	slog.New(slog.NewJSONHandler(&log, nil)).Info("json", "value", value)
	texts := []string{log.String()}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		texts = append(texts, fmt.Sprintf(verb, value))
	}
	if text, err := json.Marshal(value); err == nil {
		texts = append(texts, string(text))
	}
	return texts
}

// A request ID that could not stand in a log line is left out.
func TestRequestIDs(t *testing.T) {
	for text, want := range map[string]bool{
		"0123456789abcdef": true, "": true, "0190-Ab": true, strings.Repeat("a", maxRequestID): true,
		strings.Repeat("a", maxRequestID+1): false, "a\nb": false, "é": false, "a b": false,
	} {
		if got := isRequest(text); got != want {
			t.Errorf("%q: got %v, want %v", text, got, want)
		}
	}
}
