package manage_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/approovgate/approovgate/attestapi"
	"github.com/approovgate/approovgate/attestserver/account"
)

// operation is a request that is right in every way but, perhaps, for who sends it.
type operation struct {
	method, path string
	query        string
	body         any
	who          string // d, a and g: dev, admin and gateway may; 0: nobody needs a token
}

// everything is every operation of the API, such that each can be done on the account that prepared makes.
var everything = []operation{
	{"GET", attestapi.PathOpenAPI, "", nil, "0dag"},
	{"GET", attestapi.PathAccount, "", nil, "da"},
	{"GET", attestapi.PathDomains, "", nil, "da"},
	{"POST", attestapi.PathDomains, "", attestapi.APIDomain{Domain: "new.example.com"}, "da"},
	{"POST", attestapi.PathDomains, "", attestapi.APIDomain{Domain: "api.example.com", Format: "jwe"}, "a"},
	{"PUT", attestapi.PathDomains, "", attestapi.Domains{Domains: []attestapi.APIDomain{{Domain: "new.example.com"}}}, "a"},
	{"DELETE", attestapi.PathDomains, query("domain", "api.example.com"), nil, "a"},
	{"GET", attestapi.PathPins, query("domain", "new.example.com"), nil, "da"},
	{"GET", attestapi.PathPinStatus, "", nil, "da"},
	{"GET", attestapi.PathRegistrations, "", nil, "da"},
	{"POST", attestapi.PathRegistrations, "", attestapi.NewRegistration{Digest: digest(2), Package: "b", Version: "1", Library: "1002"}, "da"},
	{"DELETE", attestapi.PathRegistrations, query("signature", digest(3)+"temporary-1-1002"), nil, "da"},
	{"DELETE", attestapi.PathRegistrations, query("signature", digest(3)+"others-1-1002"), nil, "a"},
	{"DELETE", attestapi.PathRegistrations, query("package", "others", "older_than", "0s"), nil, "a"},
	{"GET", attestapi.PathPolicy, "", nil, "da"},
	{"PUT", attestapi.PathPolicy, "", attestapi.PolicySetting{Policy: "default,default,xposed"}, "a"},
	{"GET", attestapi.PathIPTracking, "", nil, "da"},
	{"PUT", attestapi.PathIPTracking, "", attestapi.IPTrackingSetting{Tracking: "full"}, "a"},
	{"GET", attestapi.PathDevices, "", nil, "da"},
	{"POST", attestapi.PathDevices, "", attestapi.Device{DeviceID: did, PinMode: "block"}, "da"},
	{"DELETE", attestapi.PathDevices, query("did", did), nil, "da"},
	{"POST", attestapi.PathExampleToken, "", attestapi.ExampleToken{Domain: "api.example.com"}, "da"},
	{"POST", attestapi.PathLongLivedToken, "", attestapi.LongLivedToken{Name: "s", Lifetime: "1d"}, "a"},
	{"POST", attestapi.PathCheckToken, "", attestapi.CheckToken{Token: "x"}, "da"},
	{"GET", attestapi.PathSecret, "", nil, "a"},
	{"GET", attestapi.PathSecret, query("domain", account.DemoDomain), nil, "a"},
	{"POST", attestapi.PathSecretUpdate, "", nil, "a"},
	{"POST", attestapi.PathSecretImport, "", attestapi.Secret{Secret: importedSecret}, "a"},
	{"GET", attestapi.PathKeyset, "", nil, "da"},
	{"POST", attestapi.PathKeyset, "", attestapi.NewKey{Alg: "ES256", ID: "k2"}, "a"},
	{"DELETE", attestapi.PathKeyset, query("kid", "k1"), nil, "a"},
	{"GET", attestapi.PathSDKConfig, "", nil, "da"},
	{"GET", attestapi.PathSDKLibraries, "", nil, "da"},
	{"POST", attestapi.PathSDKLibraries, "", attestapi.NewLibraryOrder{Platform: "Go"}, "da"},
	{"DELETE", attestapi.PathSDKLibraries, query("id", "1001"), nil, "a"},
	{"GET", attestapi.PathSDKLibrary, "", nil, "da"},
	{"GET", attestapi.PathManagementTokens, "", nil, "a"},
	{"POST", attestapi.PathManagementTokens, "", attestapi.NewManagementToken{Name: "J", Lifetime: "1d", Role: "dev"}, "a"},
	{"DELETE", attestapi.PathManagementTokens, "?id={edge}", nil, "a"},
	{"GET", attestapi.PathGateway, query("gate", "edge"), nil, "dag"},
	{"PUT", attestapi.PathGateway, "", attestapi.GatewayMode{Gates: []string{"edge"}, Mode: "log"}, "a"},
	{"GET", attestapi.PathGatewayKeys, "", nil, "dag"},
	{"GET", attestapi.PathAudit, "", nil, "a"},
}

// prepared is a rig whose account has something of everything.
func prepared(t testing.TB) *rig {
	t.Helper()
	r := newRig(t)
	acc := r.store.now()
	admin, err := acc.Verify(r.admin, noon)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := account.NewKeyPair("ES256", "k1", noon)
	if err != nil {
		t.Fatal(err)
	}
	third, err := account.ParseDigest(digest(3))
	if err != nil {
		t.Fatal(err)
	}
	joe := admin
	joe.Name, joe.Role = "Joe", account.Dev
	for _, do := range []func() error{
		func() error { return acc.AddDomain(admin, noon, account.Domain{Name: "api.example.com"}) },
		func() error { return acc.AddKey(admin, noon, pair) },
		func() error { return acc.SetDevice(admin, noon, account.Device{ID: did}) },
		func() error { _, err := acc.AddLibrary(admin, noon, nil, "Go", ""); return err },
		func() error {
			_, err := acc.AddRegistration(joe, noon.Add(-1e9), account.Registration{Digest: third, Package: "others", Version: "1", Library: "1002"}, "")
			return err
		},
		func() error {
			_, err := acc.AddRegistration(joe, noon, account.Registration{Digest: third, Package: "temporary", Version: "1", Library: "1002"}, "1d")
			return err
		},
	} {
		if err := do(); err != nil {
			t.Fatal(err)
		}
	}
	acc.Entries = nil
	r.store.account = acc
	return r
}

// target is the operation's path and query.
func (r *rig) target(o operation) string {
	for _, row := range r.store.now().Tokens {
		if row.Name == "edge" {
			return o.path + strings.ReplaceAll(o.query, "{edge}", row.ID)
		}
	}
	return o.path + o.query
}

// TestRolesAndPaths is R190 as it is met over HTTP: each operation, asked by nobody, a developer, an administrator
// and a gate, each on an account of its own. What is refused changes nothing.
func TestRolesAndPaths(t *testing.T) {
	r := prepared(t)
	start := r.store.now()
	for _, o := range everything {
		for _, who := range []string{"0", "d", "a", "g"} {
			r.store.account = start.Clone()
			token := map[string]string{"d": r.dev, "a": r.admin, "g": r.gateway}[who]
			name := o.method + " " + o.path + o.query + " by " + who
			if strings.Contains(o.who, who) {
				r.must(token, o.method, r.target(o), o.body, nil)
				continue
			}
			r.unchanged(name, func() {
				g := r.ask(token, o.method, r.target(o), o.body)
				if who == "0" {
					g.problem(t, name, 401, "unauthorized", account.Unauthorized)
				} else {
					g.problem(t, name, 403, "forbidden", "")
				}
			})
		}
	}
}

// TestDryRunsAndVersions: every change can be tried, and made on the condition of a version.
func TestDryRunsAndVersions(t *testing.T) {
	changes := 0
	r := prepared(t)
	start := r.store.now()
	for _, o := range everything {
		if o.method == "GET" || o.path == attestapi.PathExampleToken || o.path == attestapi.PathCheckToken {
			continue
		}
		changes++
		r.store.account, r.store.audit = start.Clone(), nil
		target := r.target(o)
		joint := "?"
		if strings.Contains(target, "?") {
			joint = "&"
		}
		name := o.method + " " + target
		r.unchanged(name, func() {
			if g := r.must(r.admin, o.method, target+joint+"dry_run=true", o.body, nil); g.header.Get("ETag") != `"1"` {
				t.Errorf("%s: a dry run: got ETag %s, want the version as it is", name, g.header.Get("ETag"))
			}
			for _, stale := range []string{`"0"`, `W/"1"`, `1`, `"2", "3"`, `"`} {
				r.ask(r.admin, o.method, target, o.body, "If-Match", stale).problem(t, name, 412, "stale", "read it again")
				r.ask(r.admin, o.method, target+joint+"dry_run=true", o.body, "If-Match", stale).problem(t, name, 412, "stale", "read it again")
			}
			for _, unclear := range []string{"dry_run", "dry_run=", "dry_run=true&dry_run=false", "dry_run=maybe", "dryrun=true", "dry_run=%zz", "dry_run=true;x"} {
				if g := r.ask(r.admin, o.method, target+joint+unclear, o.body); g.status != 400 && g.status != 422 {
					t.Errorf("%s %s: got %d %s, want a refusal", name, unclear, g.status, g.body)
				}
			}
		})
		if g := r.must(r.admin, o.method, target, o.body, nil, "If-Match", `"0", "1"`); g.header.Get("ETag") != `"2"` {
			t.Errorf("%s: got ETag %s, want 2", name, g.header.Get("ETag"))
		}
		if entries := r.store.audit; len(entries) == 0 || entries[0].Request == "" {
			t.Errorf("%s: got entries %+v", name, entries)
		}
	}
	if changes < 20 {
		t.Errorf("got %d changes: the table has lost some", changes)
	}
	r.must(r.admin, "PUT", attestapi.PathIPTracking, attestapi.IPTrackingSetting{Tracking: "full"}, nil, "If-Match", "*")
}

// TestTheTableIsWhole: everything names each path and method of the document.
func TestTheTableIsWhole(t *testing.T) {
	var have []string
	for _, o := range everything {
		have = append(have, o.method+" "+o.path)
	}
	slices.Sort(have)
	if got, want := slices.Compact(have), documented(t, newRig(t)); !slices.Equal(got, want) {
		t.Errorf("got\n%q, want what the OpenAPI document has:\n%q", got, want)
	}
}
