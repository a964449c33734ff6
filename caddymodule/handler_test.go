package caddymodule

import (
	"fmt"
	"strings"
	"testing"

	"github.com/approovgate/approovgate/gate"
)

const top = "{\n\tadmin off\n\tauto_https off\n\tskip_install_trust\n\tlog {\n\t\toutput discard\n\t}\n}\n"

func TestARefusalIsThePolicysOwnUnlessTheSiteHandlesIt(t *testing.T) {
	const directive = `
	approov {
		secret {file.{dir}/secret}
		respond {
			body "not genuine"
			content_type text/plain
			status 403
		}
	}
	reverse_proxy {api}
`
	s := newSite(t, top+"http://{listen} {"+directive+"}")
	a := s.ask("GET", "/")
	if a.status != 403 || a.body != "not genuine" || a.header.Get("Cache-Control") != "no-store" || a.header.Get("Content-Type") != "text/plain" {
		t.Errorf("without handle_errors: got %+v, want the policy's answer", a)
	}
	for _, row := range []struct{ name, handler, body string }{
		{"handled", "handle_errors 403 {\n respond `{http.approov.result} {http.approov.reason} [{http.approov.key}{http.approov.device}{http.approov.claims.did}] {err.status_code}`\n}", "fail token_missing [] 403"},
		{"handled elsewhere", "handle_errors 404 {\n respond nothing\n}", ""},
	} {
		if err := s.load(top + "http://{listen} {" + directive + row.handler + "\n}"); err != nil {
			t.Fatal(err)
		}
		a := s.ask("GET", "/")
		if a.status != 403 || a.body != row.body || a.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: got %+v, want 403 with %q", row.name, a, row.body)
		}
	}
	if len(s.asked) != 0 {
		t.Error("the API was asked")
	}
}

func TestPlaceholders(t *testing.T) {
	s := newSite(t, top+`http://{listen} {
	approov /checked {
		secret {file.{dir}/secret}
		mode log
	}
	respond "{http.approov.result}|{http.approov.reason}|{http.approov.key}|{http.approov.device}|{http.approov.claims.arc}|{http.approov.claims.n}|{http.approov.claims.none}"
}`)
	for _, row := range []struct{ name, token, want string }{
		{"genuine", token(t, tree{"arc": "ABC", "n": []int{1, 2}}), "pass|ok|account|ZGV2aWNlLXRvLWxvb2stZm9yCg==|ABC|[1,2]|"},
		{"forged", "forged", "fail|token_malformed|||||"},
		{"expired", token(t, tree{"exp": 1, "arc": "ABC"}), "fail|token_expired|account|ZGV2aWNlLXRvLWxvb2stZm9yCg==|ABC||"},
	} {
		if got := s.ask("GET", "/checked", "Approov-Token", row.token).body; got != row.want {
			t.Errorf("%s: got %q, want %q", row.name, got, row.want)
		}
	}
}

// A policy speaks of what the client asks for, not of what the site makes of it.
func TestTheRequestIsJudgedAsReceived(t *testing.T) {
	s := newSite(t, top+`http://{listen} {
	rewrite /app/* /internal{uri}
	approov {
		secret {file.{dir}/secret}
		routes open {
			paths /app/open /internal/**
			check none
		}
	}
	reverse_proxy {api}
}`)
	for _, row := range []struct {
		target, token string
		status        int
		onward        string
	}{
		{"/app/open", "", 200, "/internal/app/open"},
		{"/app/x?q=1", "", 401, ""},
		{"/app/x?q=1", token(t, nil), 200, "/internal/app/x?q=1"},
		{"/plain/../plain?q=%7e", token(t, nil), 200, "/plain?q=%7e"},
	} {
		fields := []string{"X-Approov-Verdict", "forged"}
		if row.token != "" {
			fields = append(fields, "Approov-Token", row.token)
		}
		if a := s.ask("GET", row.target, fields...); a.status != row.status {
			t.Errorf("%s: got %d, want %d", row.target, a.status, row.status)
		}
		if row.onward == "" {
			continue
		}
		r := <-s.asked
		if r.RequestURI != row.onward || r.Header.Get("Approov-Token") != "" || r.Header.Get("X-Approov-Verdict") == "forged" {
			t.Errorf("%s: got %s onward with %v, want %s, no token and no forged verdict", row.target, r.RequestURI, r.Header, row.onward)
		}
	}
}

func TestMatcherAndHandlerVerifyOnce(t *testing.T) {
	const policy = `approov {
		name once
		secret {file.{dir}/secret}
	}
`
	s := newSite(t, top+"http://{listen} {\n\t@genuine "+policy+"\t@again "+policy+"\theader @genuine X-Genuine yes\n\theader @again X-Again yes\n\t"+policy+"\treverse_proxy {api}\n}")
	for i, row := range []struct {
		token, genuine string
		status         int
	}{{token(t, nil), "yes", 200}, {"forged", "", 401}, {"", "", 401}} {
		var fields []string
		if row.token != "" {
			fields = []string{"Approov-Token", row.token}
		}
		a := s.ask("GET", "/", fields...)
		if a.status != row.status || a.header.Get("X-Genuine") != row.genuine || a.header.Get("X-Again") != row.genuine {
			t.Errorf("token %q: got %d with %v, want %d", row.token, a.status, a.header, row.status)
		}
		if got := decisions(&stationOf("once").kin); got != int64(i+1) {
			t.Errorf("after %d requests: got %d decisions, want as many", i+1, got)
		}
	}
}

func decisions(kin *gate.Kin) int64 {
	n := int64(0)
	for _, count := range kin.Counters() {
		n += count.N
	}
	return n
}

// A placeholder or matcher of one policy says nothing of another one.
func TestTwoPolicies(t *testing.T) {
	s := newSite(t, top+`http://{listen} {
	approov /v1/* {
		secret {file.{dir}/secret}
		token {
			forward always
		}
	}
	approov /v1/bound/* {
		secret {file.{dir}/secret}
		bind Authorization
	}
	handle_errors {
		respond "{http.approov.reason}"
	}
	respond "{http.approov.reason}"
}`)
	for _, row := range []struct{ target, want string }{{"/v1/x", "ok"}, {"/v1/bound/x", "pay_missing"}} {
		if got := s.ask("GET", row.target, "Approov-Token", token(t, nil), "Authorization", "Bearer x").body; got != row.want {
			t.Errorf("%s: got %s, want %s", row.target, got, row.want)
		}
	}
}

// What the site knows of its proxies is believed for the address.
func TestClientsBehindATrustedProxy(t *testing.T) {
	s := newSite(t, strings.Replace(top, "\tadmin off\n", "\tadmin off\n\tservers {\n\t\ttrusted_proxies static 127.0.0.1/32\n\t\tclient_ip_headers X-Forwarded-For\n\t}\n", 1)+`http://{listen} {
	approov {
		secret {file.{dir}/secret}
		rollout 50
	}
	respond "{http.approov.reason}"
}`)
	seen := map[int]int{}
	for i := range 64 {
		seen[s.ask("GET", "/", "X-Forwarded-For", fmt.Sprintf("198.51.%d.7", i)).status]++
	}
	if seen[200] < 8 || seen[401] < 8 {
		t.Errorf("64 clients, half of them enforced: got %v, want both, by their own addresses", seen)
	}
}

func TestOneAddressIsAnotherPort(t *testing.T) {
	for _, row := range []struct {
		address, host string
		want          bool
	}{
		{"192.0.2.1:80", "192.0.2.1", true}, {"192.0.2.10:80", "192.0.2.1", false}, {"[2001:db8::1]:80", "2001:db8::1", true},
		{"[2001:db8::10]:80", "2001:db8::1", false}, {"@", "", true},
	} {
		if got := isFrom(row.address, row.host); got != row.want {
			t.Errorf("%s and %s: got %v, want %v", row.address, row.host, got, row.want)
		}
	}
}
