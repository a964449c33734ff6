package manage_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/approovgate/approovgate/attestapi"
	"github.com/approovgate/approovgate/attestserver/account"
)

func digest(n int) string {
	sum := sha256.Sum256(fmt.Append(nil, n))
	return base64.StdEncoding.EncodeToString(sum[:])
}

func query(pairs ...string) string {
	q := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		q.Set(pairs[i], pairs[i+1])
	}
	return "?" + q.Encode()
}

const (
	did     = "h4gubfCFzJu81j/U2BJsdg=="
	thePin  = "JG29gD8vWiEanTCVPjYLQ5yiYMKQqR05OH38yFf0kBU="
	sdkFree = "example.com/tool"
)

// TestAWalkThroughTheAPI does everything once, over a real database, and reads it back.
func TestAWalkThroughTheAPI(t *testing.T) {
	r, _ := onSQLite(t)
	var info attestapi.AccountInfo
	if g := r.must(r.dev, "GET", attestapi.PathAccount, nil, &info); info.Account != "test-account" || info.Role != "dev" || info.Server != "1.2.3" || info.TokenID == "" || g.header.Get("ETag") != `"1"` {
		t.Errorf("account: got %+v, ETag %s", info, g.header.Get("ETag"))
	}
	r.walkDomains()
	r.walkRegistrations()
	r.walkSettings()
	r.walkDevices()
	r.walkTokens()
	r.walkSecrets()
	r.walkSDK()
	r.walkManagementTokens()
	r.walkGateway()
	r.walkAudit()
}

func (r *rig) walkDomains() {
	t := r.t
	var changed attestapi.Changed
	r.must(r.dev, "POST", attestapi.PathDomains, attestapi.APIDomain{Domain: "API.example.com", Pins: []string{thePin}}, &changed)
	if changed.Version != 2 || changed.DryRun || changed.Notes != nil {
		t.Errorf("add domain: got %+v, want version 2", changed)
	}
	r.must(r.dev, "POST", attestapi.PathDomains, `{"domain":"jwe.example.com","format":"jwe"}`, nil)
	r.must(r.dev, "POST", attestapi.PathDomains, attestapi.APIDomain{Domain: account.DemoDomain, Pins: []string{thePin}}, &changed)
	if changed.Notes != nil {
		t.Errorf("adding the demonstration domain: got %+v", changed)
	}
	r.must(r.admin, "POST", attestapi.PathDomains, attestapi.APIDomain{Domain: account.DemoDomain}, &changed)
	if len(changed.Notes) != 1 || !strings.Contains(changed.Notes[0], "ignored") || changed.Version != 4 {
		t.Errorf("changing the demonstration domain: got %+v, want a note and version 4", changed)
	}
	r.must(r.admin, "DELETE", attestapi.PathDomains+query("domain", account.DemoDomain), nil, &changed)
	var list attestapi.Domains
	g := r.must(r.dev, "GET", attestapi.PathDomains, nil, &list)
	if got := fmt.Sprint(list); got != "{[{api.example.com jws  ["+thePin+"] false} {jwe.example.com jwe  [] false}]}" || g.header.Get("ETag") != `"5"` {
		t.Errorf("domains: got %s, ETag %s", got, g.header.Get("ETag"))
	}
}

func (r *rig) walkRegistrations() {
	t := r.t
	add := attestapi.NewRegistration{Digest: digest(1), Package: "com.criticalblue.demo", Version: "2.0[3]", Library: "1001"}
	var made attestapi.Registered
	r.must(r.dev, "POST", attestapi.PathRegistrations, add, &made)
	want := digest(1) + "com.criticalblue.demo-2.0[3]-1001"
	if made.Registration.Signature != want || made.Registration.Platform != "Go" || made.Registration.SDKVersion != account.SDKVersion ||
		!made.Registration.Expires.IsZero() || made.Registration.By != "initial dev" || made.Notes != nil {
		t.Errorf("registered: got %+v", made)
	}
	add.Version, add.Lifetime = "special", "3d"
	r.must(r.dev, "POST", attestapi.PathRegistrations, add, &made)
	if !made.Registration.Expires.Equal(noon.Add(72 * time.Hour)) {
		t.Errorf("for three days: got %v", made.Registration.Expires)
	}
	var list attestapi.Registrations
	r.must(r.dev, "GET", attestapi.PathRegistrations, nil, &list)
	if len(list.Registrations) != 2 {
		t.Errorf("registrations: got %+v", list)
	}
	r.must(r.dev, "DELETE", attestapi.PathRegistrations+query("signature", want), nil, &list)
	if len(list.Registrations) != 1 || list.Registrations[0].Signature != want {
		t.Errorf("removed: got %+v", list)
	}
	r.at = noon.Add(48 * time.Hour)
	matching := attestapi.PathRegistrations + query("package", "com.criticalblue.demo", "older_than", "1d")
	r.must(r.admin, "DELETE", matching+"&dry_run=true", nil, &list)
	if len(list.Registrations) != 1 || !list.DryRun {
		t.Errorf("a dry run: got %+v", list)
	}
	r.must(r.admin, "DELETE", matching, nil, &list)
	if len(list.Registrations) != 1 || list.DryRun {
		t.Errorf("removed: got %+v", list)
	}
	r.must(r.admin, "DELETE", matching, nil, &list)
	if len(list.Registrations) != 0 {
		t.Errorf("removed again: got %+v", list)
	}
	r.at = noon
}

func (r *rig) walkSettings() {
	t := r.t
	var changed attestapi.Changed
	r.must(r.admin, "PUT", attestapi.PathPolicy, attestapi.PolicySetting{Policy: "default,allow-root,xposed"}, &changed)
	var policy attestapi.PolicySetting
	r.must(r.dev, "GET", attestapi.PathPolicy, nil, &policy)
	if policy.Policy != "default,allow-root,xposed" || changed.Notes != nil {
		t.Errorf("policy: got %+v, notes %v", policy, changed.Notes)
	}
	for text, word := range map[string]string{"default,whitelist,default": "whitelist", "default,blacklist,default": "blacklist", "default,default,all": "annotation"} {
		r.must(r.admin, "PUT", attestapi.PathPolicy, attestapi.PolicySetting{Policy: text}, &changed)
		if len(changed.Notes) != 1 || !strings.Contains(changed.Notes[0], word) {
			t.Errorf("%s: got notes %q, want a warning", text, changed.Notes)
		}
	}
	var tracking attestapi.IPTrackingSetting
	r.must(r.dev, "GET", attestapi.PathIPTracking, nil, &tracking)
	if tracking.Tracking != "token" {
		t.Errorf("IP tracking: got %+v, want token", tracking)
	}
	r.must(r.admin, "PUT", attestapi.PathIPTracking, attestapi.IPTrackingSetting{Tracking: "none"}, nil)
	r.must(r.dev, "GET", attestapi.PathIPTracking, nil, &tracking)
	if tracking.Tracking != "none" {
		t.Errorf("IP tracking: got %+v, want none", tracking)
	}
}

func (r *rig) walkDevices() {
	t := r.t
	r.must(r.dev, "POST", attestapi.PathDevices, attestapi.Device{DeviceID: did, Policy: "default,whitelist,all", PinMode: "unpin"}, nil)
	var list attestapi.Devices
	r.must(r.dev, "GET", attestapi.PathDevices, nil, &list)
	if want := (attestapi.Device{DeviceID: did, Policy: "default,whitelist,all", PinMode: "unpin", By: "initial dev"}); !slices.Equal(list.Devices, []attestapi.Device{want}) {
		t.Errorf("devices: got %+v, want %+v", list, want)
	}
	r.must(r.dev, "DELETE", attestapi.PathDevices+query("did", did), nil, nil)
	r.must(r.dev, "GET", attestapi.PathDevices, nil, &list)
	if list.Devices == nil || len(list.Devices) != 0 {
		t.Errorf("devices: got %+v, want an empty list", list)
	}
}

func (r *rig) walkTokens() {
	t := r.t
	for _, row := range []struct {
		ask  attestapi.ExampleToken
		want attestapi.CheckedToken
	}{
		{attestapi.ExampleToken{Domain: "API.example.com"}, attestapi.CheckedToken{Valid: true, Kind: "JWS", Claims: `{"did":"ExampleApproovTokenDID==","exp":1772370000}`}},
		{attestapi.ExampleToken{Domain: "api.example.com", Data: "custom-data"}, attestapi.CheckedToken{Valid: true, Kind: "JWS",
			Claims: `{"did":"ExampleApproovTokenDID==","exp":1772370000,"pay":"tih+xRFV8PMsDhKthuFdvqWtQpKdT+K8X5W3258EJnU="}`}},
		{attestapi.ExampleToken{Domain: "api.example.com", Type: "invalid"}, attestapi.CheckedToken{Kind: "JWS", Claims: `{"did":"ExampleApproovTokenDID==","exp":1772370000}`}},
		{attestapi.ExampleToken{Domain: "api.example.com", Type: "failover"}, attestapi.CheckedToken{Valid: true, Kind: "JWS", Claims: `{"exp":1772370000}`}},
		{attestapi.ExampleToken{Domain: "jwe.example.com"}, attestapi.CheckedToken{Valid: true, Kind: "JWE", Claims: `{"did":"ExampleApproovTokenDID==","exp":1772370000}`}},
	} {
		var made attestapi.IssuedToken
		r.must(r.dev, "POST", attestapi.PathExampleToken, row.ask, &made)
		var checked attestapi.CheckedToken
		r.must(r.dev, "POST", attestapi.PathCheckToken, attestapi.CheckToken{Token: made.Token}, &checked)
		if checked != row.want || !made.Expires.Equal(noon.Add(time.Hour)) {
			t.Errorf("%+v: got %+v until %v, want %+v", row.ask, checked, made.Expires, row.want)
		}
		r.at = noon.Add(2 * time.Hour)
		r.must(r.dev, "POST", attestapi.PathCheckToken, attestapi.CheckToken{Token: made.Token}, &checked)
		if !checked.Expired || checked.Valid != row.want.Valid {
			t.Errorf("%+v, two hours later: got %+v", row.ask, checked)
		}
		r.at = noon
	}
	var long attestapi.IssuedToken
	r.must(r.admin, "POST", attestapi.PathLongLivedToken+"?dry_run=true", attestapi.LongLivedToken{Name: "server-token", Lifetime: "90d"}, &long)
	if long.Token != "" || !long.Expires.Equal(noon.Add(90*24*time.Hour)) {
		t.Errorf("a dry run: got %+v, want no token", long)
	}
	r.must(r.admin, "POST", attestapi.PathLongLivedToken, attestapi.LongLivedToken{Name: "server-token", Lifetime: "90d"}, &long)
	var checked attestapi.CheckedToken
	r.must(r.dev, "POST", attestapi.PathCheckToken, attestapi.CheckToken{Token: long.Token}, &checked)
	if want := `{"exp":1780142400,"iss":"server-token"}`; checked.Claims != want || !checked.Valid || checked.Kind != "JWS" {
		t.Errorf("a long lived token: got %+v, want %s", checked, want)
	}
	r.must(r.dev, "POST", attestapi.PathCheckToken, attestapi.CheckToken{Token: "x"}, &checked)
	if checked != (attestapi.CheckedToken{}) {
		t.Errorf("no token: got %+v", checked)
	}
}

func (r *rig) walkSecrets() {
	t := r.t
	var first, tried, second, third attestapi.Secret
	r.must(r.admin, "GET", attestapi.PathSecret, nil, &first)
	r.must(r.admin, "POST", attestapi.PathSecretUpdate+"?dry_run=true", nil, &tried)
	r.must(r.admin, "POST", attestapi.PathSecretUpdate, nil, &second)
	r.must(r.admin, "POST", attestapi.PathSecretImport, attestapi.Secret{Secret: importedSecret}, nil)
	r.must(r.admin, "GET", attestapi.PathSecret, nil, &third)
	raw, err := base64.StdEncoding.DecodeString(second.Secret)
	if err != nil || len(raw) != 64 || first == second || tried.Secret != "" || third.Secret != importedSecret {
		t.Error("the secrets are not a first, none, a second of 64 bytes and the imported one")
	}
	var set attestapi.Keyset
	r.must(r.admin, "POST", attestapi.PathKeyset, attestapi.NewKey{Alg: "ES256", ID: "k1"}, &set)
	r.must(r.admin, "POST", attestapi.PathKeyset+"?dry_run=true", attestapi.NewKey{Alg: "ES256", ID: "k2"}, &set)
	r.must(r.dev, "GET", attestapi.PathKeyset, nil, &set)
	if len(set.Keys) != 1 || set.Keys[0]["kid"] != "k1" || set.Keys[0]["d"] != "" {
		t.Errorf("keyset: got %v", set)
	}
	r.must(r.admin, "DELETE", attestapi.PathKeyset+query("kid", "k1"), nil, nil)
	r.must(r.dev, "GET", attestapi.PathKeyset, nil, &set)
	if set.Keys == nil || len(set.Keys) != 0 {
		t.Errorf("keyset: got %v, want an empty list", set)
	}
}

func (r *rig) walkSDK() {
	t := r.t
	var config attestapi.ConfigResponse
	r.must(r.dev, "GET", attestapi.PathSDKConfig, nil, &config)
	if c, err := attestapi.OpenInitialConfig(config.Config); err != nil || c.Account != "test-account" || !c.APIs["jwe.example.com"].JWE {
		t.Errorf("config: got %+v, %v", c, err)
	}
	var made, tried, again attestapi.SDKLibrary
	r.must(r.dev, "POST", attestapi.PathSDKLibraries+"?dry_run=true", attestapi.NewLibraryOrder{Platform: "Go", Version: "1.1.0"}, &tried)
	r.must(r.dev, "POST", attestapi.PathSDKLibraries, attestapi.NewLibraryOrder{Platform: "Go", Version: "1.1.0"}, &made)
	if l, err := attestapi.ParseLibrary(made.File); err != nil || l.ID != "1002" || l.Version != "1.1.0" || tried.ID != "1002" || tried.File != nil {
		t.Errorf("library: got %v, %v, tried %+v", l, err, tried)
	}
	r.must(r.dev, "GET", attestapi.PathSDKLibrary, nil, &again)
	if again.ID != "1002" || !bytes.Equal(again.File, made.File) {
		t.Errorf("the latest library: got %+v", again)
	}
	r.must(r.dev, "GET", attestapi.PathSDKLibrary+query("id", "1001", "platform", "Go"), nil, &again)
	if again.ID != "1001" {
		t.Errorf("the first library: got %+v", again)
	}
	var registered attestapi.Registered
	r.must(r.dev, "POST", attestapi.PathRegistrations, attestapi.NewRegistration{Digest: digest(2), Package: sdkFree, Version: "1", Library: "1001", Lifetime: "1h"}, &registered)
	if want := []string{"note: newer version 1.1.0 of the Approov Go SDK is available"}; !slices.Equal(registered.Notes, want) {
		t.Errorf("an app with an older SDK: got %q, want %q", registered.Notes, want)
	}
	r.must(r.dev, "DELETE", attestapi.PathRegistrations+query("signature", registered.Registration.Signature), nil, nil)
	r.must(r.admin, "DELETE", attestapi.PathSDKLibraries+query("id", "1001"), nil, nil)
	var list attestapi.SDKLibraries
	r.must(r.dev, "GET", attestapi.PathSDKLibraries, nil, &list)
	if len(list.Libraries) != 1 || list.Libraries[0].ID != "1002" || list.Libraries[0].File != nil {
		t.Errorf("libraries: got %+v", list)
	}
}

func (r *rig) walkManagementTokens() {
	t := r.t
	order := attestapi.NewManagementToken{Email: "joe@example.com", Name: "J Bloggs", Lifetime: "1d", Role: "dev"}
	var made, tried attestapi.ManagementToken
	r.must(r.admin, "POST", attestapi.PathManagementTokens+"?dry_run=true", order, &tried)
	if tried.ID != "" || tried.Token != "" || tried.Name != "J Bloggs" {
		t.Errorf("a dry run: got %+v, want neither ID nor token", tried)
	}
	r.must(r.admin, "POST", attestapi.PathManagementTokens, order, &made)
	r.must(made.Token, "GET", attestapi.PathAccount, nil, nil)
	var list attestapi.ManagementTokens
	r.must(r.admin, "GET", attestapi.PathManagementTokens, nil, &list)
	found := slices.IndexFunc(list.Tokens, func(t attestapi.ManagementToken) bool { return t.ID == made.ID })
	if len(list.Tokens) != 4 || found < 0 || list.Tokens[found].Token != "" {
		t.Errorf("tokens: got %+v", list)
	}
	r.must(r.admin, "DELETE", attestapi.PathManagementTokens+query("id", made.ID), nil, nil)
	r.ask(made.Token, "GET", attestapi.PathAccount, nil).problem(t, "revoked", 401, "unauthorized", account.Unauthorized)
	r.must(r.admin, "POST", attestapi.PathManagementTokens, order, &made)
	r.must(r.admin, "DELETE", attestapi.PathManagementTokens+query("token", made.Token), nil, nil)
	r.ask(made.Token, "GET", attestapi.PathAccount, nil).problem(t, "revoked by its text", 401, "unauthorized", account.Unauthorized)
}

func (r *rig) walkGateway() {
	t := r.t
	var mode attestapi.GatewayMode
	r.must(r.gateway, "GET", attestapi.PathGateway+query("gate", "edge"), nil, &mode)
	if mode.Version != 1 || mode.Mode != "" {
		t.Errorf("a gate nobody switched: got %+v", mode)
	}
	r.must(r.admin, "PUT", attestapi.PathGateway, attestapi.GatewayMode{Gates: []string{"edge", "edge-2"}, Mode: "bypass", Routes: map[string]string{"r": "log"}, For: "15m", Reason: "INC-1"}, &mode)
	if mode.Version != 2 || mode.Mode != "bypass" || !mode.Until.Equal(noon.Add(15*time.Minute)) || mode.By != "initial admin" || mode.Reason != "INC-1" || mode.Routes["r"] != "log" {
		t.Errorf("bypass: got %+v", mode)
	}
	r.at = noon.Add(15 * time.Minute)
	r.must(r.dev, "GET", attestapi.PathGateway+query("gate", "edge-2"), nil, &mode)
	if mode.Version != 2 || mode.Mode != "" || mode.Routes != nil {
		t.Errorf("when it is over: got %+v", mode)
	}
	r.at = noon
	r.must(r.admin, "PUT", attestapi.PathGateway, attestapi.GatewayMode{Gates: []string{"edge"}, Mode: "resume"}, &mode)
	if mode.Version != 3 || mode.Mode != "" || !mode.Until.IsZero() {
		t.Errorf("resume: got %+v", mode)
	}
	var keys attestapi.GatewayKeys
	r.must(r.gateway, "GET", attestapi.PathGatewayKeys, nil, &keys)
	if !strings.HasPrefix(keys.PublicKey, "-----BEGIN PUBLIC KEY-----") {
		t.Errorf("keys: got %q", keys.PublicKey)
	}
}

func (r *rig) walkAudit() {
	t := r.t
	var all []attestapi.AuditEntry
	for before := ""; ; {
		var page attestapi.Audit
		r.must(r.admin, "GET", attestapi.PathAudit+"?limit=7"+before, nil, &page)
		all = append(all, page.Entries...)
		if page.Next == 0 {
			break
		}
		before = fmt.Sprint("&before=", page.Next)
	}
	if !slices.IsSortedFunc(all, func(a, b attestapi.AuditEntry) int { return int(b.Sequence - a.Sequence) }) {
		t.Error("the audit log is not in order")
	}
	var actions []string
	for i := len(all) - 1; i >= 0; i-- {
		e := all[i]
		actions = append(actions, e.Action)
		if e.Request == "" || e.By == "" || e.Role == "" || e.At.IsZero() {
			t.Errorf("got %+v, want who, when and in which request", e)
		}
	}
	want := "domain.add domain.add domain.add domain.remove registration.add registration.add registration.remove registration.remove-matching " +
		"policy.set policy.set policy.set policy.set ip-tracking.set device.set device.remove token.long-lived secret.update secret.import keyset.add keyset.remove " +
		"library.add registration.add registration.remove library.remove management-token.add management-token.revoke management-token.add management-token.revoke " +
		"gateway.set gateway.set gateway.set"
	if got := strings.Join(actions, " "); got != want {
		t.Errorf("audit: got\n%s, want\n%s", got, want)
	}
}

// TestManyRegisterAtOnce: 100 clients, 300 apps, 250 places.
func TestManyRegisterAtOnce(t *testing.T) {
	r, s := onSQLite(t)
	var accepted, refused atomic.Int64
	var clients sync.WaitGroup
	for client := range 100 {
		clients.Go(func() {
			for n := range 3 {
				g := r.ask(r.dev, "POST", attestapi.PathRegistrations, attestapi.NewRegistration{
					Digest: digest(3*client + n), Package: "com.a", Version: fmt.Sprint(3*client + n), Library: "1001"})
				switch g.status {
				case http.StatusOK:
					accepted.Add(1)
				case http.StatusConflict:
					refused.Add(1)
					g.problem(t, "one too many", 409, "limit", "250")
				default:
					t.Errorf("got %d %s", g.status, g.body)
				}
			}
		})
	}
	clients.Wait()
	if err := s.refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	acc := s.Account("test-account")
	if accepted.Load() != account.MaxRegistrations || refused.Load() != 50 || len(acc.Registrations) != account.MaxRegistrations || acc.Version != 1+account.MaxRegistrations {
		t.Errorf("got %d accepted, %d refused, %d kept, version %d, want 250, 50, 250, 251", accepted.Load(), refused.Load(), len(acc.Registrations), acc.Version)
	}
	entries, err := s.store.Audit(t.Context(), "test-account", 0, 1000)
	if err != nil || len(entries) != account.MaxRegistrations {
		t.Errorf("got %d entries, %v, want one for each", len(entries), err)
	}
}
