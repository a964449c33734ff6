package sdk

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/approovgate/approovgate/attestapi"
)

// FuzzAnswer reads answers to attestations: what is taken can stand in a header, and lives no longer than an hour.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte(`{"tokens":{"api.example.com":{"t":"aa.bb.cc","ttl_ms":300000}},"next_nonce":"n","nonce_ttl_s":600,"rid":"r"}`))
	f.Add([]byte(`{"tokens":{"a":{"t":"aa.bb.cc.dd.ee","ttl_ms":9223372036854775807}},"nonce_ttl_s":-1,"rules":{"v":1,"checks":["root"],"names":{"x":"frida"}}}`))
	f.Add([]byte(`{"tokens":null,"config":"e30="}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		response, err := readAnswer(text)
		if err != nil {
			return
		}
		sent := time.Now()
		got := newTokens(response.Tokens, "", "", sent)
		if got.until.Sub(sent) > time.Hour || got.refresh.After(got.until) || got.until.Before(sent) {
			t.Errorf("got tokens from %v to %v of %v", got.refresh, got.until, sent)
		}
		for domain, one := range got.byDomain {
			if host, ok := domainOf(domain); !ok || host != domain && host+"." != domain {
				t.Errorf("got the domain %q", domain)
			}
			if n := strings.Count(one.text, "."); n != 2 && n != 4 || strings.Trim(one.text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.") != "" {
				t.Errorf("got the token %q", one.text)
			}
			if !json.Valid([]byte(one.loggable)) {
				t.Errorf("got the loggable token %q", one.loggable)
			}
		}
		if n := newNonce(response.Nonce, response.NonceTTL, sent); n.until.Sub(sent) > longestNonce {
			t.Errorf("got a nonce until %v of %v", n.until, sent)
		}
		c := &Client{}
		c.learn(response.Rules)
		if rules := c.rules.Load(); rules != nil {
			for _, flag := range rules.Names {
				if !slices.Contains(attestapi.ReportedFlags(), flag) {
					t.Errorf("got rules with the flag %q", flag)
				}
			}
		}
	})
}

// FuzzConfig reads configurations, of which nothing is taken without the account's signature.
func FuzzConfig(f *testing.F) {
	s := newService()
	valid := s.sign(s.config)
	f.Add(valid)
	f.Add(valid + "\n")
	f.Add(valid[:len(valid)/2])
	f.Add("e30.e30.e30")
	c := &Client{initial: s.config, deviceID: "h4gubfCFzJu81j/U2BJsdg=="}
	first, err := c.newSettings(s.config, nil)
	if err != nil {
		f.Fatal(err)
	}
	first.floor = s.config.Version
	c.settings.Store(first)
	f.Fuzz(func(t *testing.T, text string) {
		config, err := attestapi.OpenInitialConfig(text)
		if err == nil {
			if settings, err := c.newSettings(config, first); err == nil {
				for _, base := range settings.bases {
					if u, err := url.Parse(base); err != nil || u.Scheme != "https" && !strings.HasPrefix(u.Host, "127.") && !strings.HasPrefix(u.Host, "[::") {
						t.Errorf("got the address %q", base)
					}
				}
			}
		}
		if config, err := attestapi.OpenConfig(text, s.config); err == nil && config.Account != s.account {
			t.Errorf("got %q taken, which the account did not sign", text)
		}
		if c.update(text) {
			t.Errorf("got %q in force, which is no newer", text)
		}
	})
}

// FuzzDomain compares domains with what net/url makes of the same URL.
func FuzzDomain(f *testing.F) {
	for _, text := range []string{"api.example.com", "https://api.example.com/x", "https://api.example.com:443", "HTTPS://A.B./?x#y", "http://a", "https://u@a/", "a:b", "https://[::1]/", "a?measurement"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		domain, ok := domainOf(text)
		if !ok {
			return
		}
		full := text
		if !strings.Contains(text, "://") {
			full = "https://" + text
		}
		u, err := url.Parse(full)
		if err != nil {
			return // such as a path with a bad escape: no request can be made to it
		}
		if want := strings.TrimSuffix(strings.ToLower(u.Hostname()), "."); domain != want || u.User != nil || u.Scheme != "https" {
			t.Errorf("%q: got %q, want %q", text, domain, want)
		}
	})
}

// FuzzRefusal reads answers with another status than 200.
func FuzzRefusal(f *testing.F) {
	f.Add(403, `{"code":"account_unknown"}`, "")
	f.Add(503, `<html>`, "120")
	f.Add(429, ``, "Sat, 01 Jan 2000 00:00:00 GMT")
	f.Fuzz(func(t *testing.T, status int, body, after string) {
		got := refusal(&http.Response{StatusCode: status, Header: http.Header{"Retry-After": {after}}}, []byte(body))
		if got.err == nil || got.after < 0 || got.kind == final && got.final.Class() == Retry || strings.Contains(got.err.Error(), "<html>") {
			t.Errorf("got %+v", got)
		}
		p := pause{}
		now := time.Now()
		p.note(&failure{PoorNetwork, got.err, got.after}, now)
		if wait := p.until.Sub(now); wait <= 0 || wait > longestRequest {
			t.Errorf("got a pause of %v", wait)
		}
	})
}

// FuzzProc reads what the files of /proc may hold.
func FuzzProc(f *testing.F) {
	f.Add("TracerPid:\t1\n", "frida")
	f.Add("7f-80 r-xp 0 08:01 1  /lib/frida.so\n", "frida")
	f.Add("A=1\x00LD_PRELOAD=x\x00", "")
	f.Fuzz(func(t *testing.T, text, name string) {
		if traced(text) && !strings.Contains(text, "TracerPid:") || preloaded(text) && !strings.Contains(text, "LD_PRELOAD=") {
			t.Error("got something that is not there")
		}
		if got := loaded(text, map[string]string{name: "flag"}); len(got) > 0 && !strings.Contains(strings.ToLower(text), name) {
			t.Errorf("got %v, want nothing", got)
		}
	})
}
