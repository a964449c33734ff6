package attestserver

import (
	"encoding/json"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/approovgate/approovgate/attestapi"
	"github.com/approovgate/approovgate/attestserver/account"
)

func TestPoliciesOfAccountAndDevice(t *testing.T) {
	policy := func(text string) account.Policy {
		p, err := account.ParsePolicy(text)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	for _, row := range []struct {
		name            string
		account, device string // policies; empty: none
		flags           []string
		unregistered    bool
		good            bool
		anno            string
	}{
		{"a rooted device under allow-root", "default,allow-root,default", "", []string{"rooted"}, false, true, ""},
		{"a rooted device under allow-root, annotated", "default,allow-root,all", "", []string{"rooted"}, false, true, "rooted"},
		{"a jailbroken device under allow-root", "default,allow-root,all", "", []string{"jailbroken"}, false, false, "jailbroken"},
		{"Xposed under allow-xposed, annotated as xposed", "default,allow-xposed,xposed", "", []string{"xposed", "root-risk"}, false, false, "xposed"},
		{"a whitelisted device with an app that is not registered", "default,default,default", "default,whitelist,all", []string{"debug", "emulator"}, true, true, "debug app-not-registered emulator"},
		{"a whitelisted device whose SDK is tampered with", "default,default,default", "default,whitelist,all", []string{"scan-fail"}, false, false, "scan-fail"},
		{"a blacklisted device with nothing against it", "default,allow-root,default", "default,blacklist,default", nil, false, false, ""},
		{"a device with a pin mode only, which the account's policy judges", "default,allow-root,all", "-", []string{"rooted"}, false, true, "rooted"},
		{"a device whose own policy is stricter", "default,allow-root,all", "default,default,default", []string{"rooted"}, false, false, ""},
	} {
		r := newRig(t, func(_ *Options, a *account.Account) {
			a.Policy = policy(row.account)
			switch row.device {
			case "":
			case "-":
				a.Devices = []account.Device{{ID: deviceA, PinMode: account.PinNormal}}
			default:
				a.Devices = []account.Device{{ID: deviceB}, {ID: deviceA, Policy: policy(row.device)}}
			}
		})
		a := r.genuine(r.nonce("acme", deviceA))
		a.request.Flags = row.flags
		if row.unregistered {
			a.digest = digestOf("x")
		}
		good, claims := r.verdict(r.send(a))
		if good != row.good || anno(claims) != row.anno {
			t.Errorf("%s: got good %v and %q, want %v and %q", row.name, good, anno(claims), row.good, row.anno)
		}
	}
}

func TestConfigurationsThatAreSent(t *testing.T) {
	initial := func(r *rig) attestapi.Config {
		c, err := attestapi.OpenInitialConfig(r.find("acme").config)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	for _, row := range []struct {
		name    string
		mode    account.PinMode
		version int64
		want    int64 // version; 0: none is sent
		pin     string
	}{
		{"the latest", "", 5, 0, ""},
		{"an older one", "", 4, 5, "pin-a"},
		{"none", "", 0, 5, "pin-a"},
		{"one for the device, when the mode was taken back", "", 5 + 1<<40, 5, "pin-a"},
		{"the latest, of a device that is to block", account.PinBlock, 5, 5 + 1<<40, attestapi.BlockedPin},
		{"the one to block, of a device that is to block", account.PinBlock, 5 + 1<<40, 5 + 1<<40, attestapi.BlockedPin},
		{"the latest, of a device that is not to pin", account.PinOff, 5, 5 + 1<<40, ""},
		{"the latest, of a device in the default mode", account.PinNormal, 5, 0, ""},
	} {
		r := newRig(t, func(_ *Options, a *account.Account) {
			if row.mode != "" {
				a.Devices = []account.Device{{ID: deviceA, PinMode: row.mode}}
			}
		})
		a := r.genuine(r.nonce("acme", deviceA))
		a.request.ConfigVersion = row.version
		answer := r.send(a)
		if good, _ := r.verdict(answer); !good {
			t.Errorf("%s: got tokens that do not verify, want good ones", row.name)
		}
		check := func(from, text string) {
			if (text != "") != (row.want != 0) {
				t.Errorf("%s, %s: got a configuration %v, want %v", row.name, from, text != "", row.want != 0)
			}
			if text == "" {
				return
			}
			c, err := attestapi.OpenConfig(text, initial(r))
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(c.APIs["api.example.com"].Pins, " "); c.Version != row.want || got != row.pin {
				t.Errorf("%s, %s: got version %d and pin %q, want %d and %q", row.name, from, c.Version, got, row.want, row.pin)
			}
		}
		check("with tokens", answer.Config)
		w := r.post(attestapi.PathConfig, attestapi.ConfigRequest{Account: "acme", Version: row.version, DeviceID: deviceA})
		var alone attestapi.ConfigResponse
		if w.Code == http.StatusOK {
			if err := json.Unmarshal(w.Body.Bytes(), &alone); err != nil {
				t.Fatal(err)
			}
		} else if w.Code != http.StatusNotModified || w.Body.Len() > 0 {
			t.Errorf("%s: got %d %s, want 200 or 304", row.name, w.Code, w.Body)
		}
		check("alone", alone.Config)
		if other := r.post(attestapi.PathConfig, attestapi.ConfigRequest{Account: "acme", Version: 5, DeviceID: deviceB}); other.Code != http.StatusNotModified {
			t.Errorf("%s: got %d for another device, want 304", row.name, other.Code)
		}
	}
}

func TestRulesAreSentWhenTheyHaveChanged(t *testing.T) {
	rules := DefaultRules()
	rules.Version = 7
	r := newRig(t, func(o *Options, _ *account.Account) { o.Rules = rules })
	for version, want := range map[int64]bool{6: true, 7: false} {
		a := r.genuine(r.nonce("acme", deviceA))
		a.request.RulesVersion = version
		if got := r.send(a).Rules; (got != nil) != want || got != nil && got.Version != 7 {
			t.Errorf("an SDK with rules %d: got %+v, want new ones %v", version, got, want)
		}
	}
	w := r.post(attestapi.PathChallenge, attestapi.ChallengeRequest{Account: "acme", DeviceID: deviceA})
	var answer attestapi.ChallengeResponse
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || answer.Rules == nil || answer.Rules.Version != 7 || len(answer.Rules.Checks) == 0 {
		t.Errorf("a challenge: got %s, %v, want the rules", w.Body, err)
	}
	if answer.NonceTTL != 60 || answer.Now != start.Unix() || answer.Request == "" {
		t.Errorf("a challenge: got %+v, want a nonce for 60 s, the time and a request id", answer)
	}
}

func TestAddresses(t *testing.T) {
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	for _, row := range []struct {
		name, peer string
		forwarded  []string
		trusted    []netip.Prefix
		tracking   account.IPTracking
		want       any // the claim; nil: there is none
	}{
		{"who connects", "192.0.2.7:1", nil, nil, account.TrackToken, "192.0.2.7"},
		{"the default", "192.0.2.7:1", nil, nil, "", "192.0.2.7"},
		{"full", "192.0.2.7:1", nil, nil, account.TrackFull, "192.0.2.7"},
		{"none", "192.0.2.7:1", nil, nil, account.TrackNone, nil},
		{"IPv6", "[2001:db8::1]:1", nil, nil, "", "2001:db8::1"},
		{"IPv4 written as IPv6", "[::ffff:192.0.2.7]:1", nil, nil, "", "192.0.2.7"},
		{"IPv6 with a zone", "[fe80::1%eth0]:1", nil, nil, "", "fe80::1"},
		{"a Unix socket", "@", nil, nil, "", nil},
		{"a proxy that nobody trusts", "10.0.0.1:1", []string{"192.0.2.9"}, nil, "", "10.0.0.1"},
		{"a client that pretends", "192.0.2.7:1", []string{"192.0.2.9"}, trusted, "", "192.0.2.7"},
		{"a trusted proxy", "10.0.0.1:1", []string{"192.0.2.9"}, trusted, "", "192.0.2.9"},
		{"a trusted proxy that says nothing", "10.0.0.1:1", nil, trusted, "", "10.0.0.1"},
		{"a trusted proxy, and a client that pretends", "10.0.0.1:1", []string{"203.0.113.1, 192.0.2.9"}, trusted, "", "192.0.2.9"},
		{"several trusted proxies", "[::1]:1", []string{"203.0.113.1", "192.0.2.9 , 10.1.1.1"}, trusted, "", "192.0.2.9"},
		{"a trusted proxy that adds a port", "10.0.0.1:1", []string{"[2001:db8::7]:443"}, trusted, "", "2001:db8::7"},
		{"a trusted proxy behind nonsense", "10.0.0.1:1", []string{"unknown, 10.2.2.2"}, trusted, "", "10.2.2.2"},
		{"nothing but trusted proxies", "10.0.0.1:1", []string{"10.0.0.2"}, trusted, "", "10.0.0.2"},
	} {
		r := newRig(t, func(o *Options, a *account.Account) { o.TrustedProxies, a.IPTracking = row.trusted, row.tracking })
		a := r.genuine(r.nonce("acme", deviceA))
		body, _ := json.Marshal(a.request)
		w := r.ask(http.MethodPost, attestapi.PathAttest, body, func(q *http.Request) {
			q.RemoteAddr = row.peer
			for _, value := range row.forwarded {
				q.Header.Add("X-Forwarded-For", value)
			}
		})
		answer := answered{ResponseRecorder: w}
		if err := json.Unmarshal(w.Body.Bytes(), &answer.AttestResponse); err != nil {
			t.Fatal(err)
		}
		if _, claims := r.verdict(answer); claims["ip"] != row.want {
			t.Errorf("%s: got ip %v, want %v", row.name, claims["ip"], row.want)
		}
	}
}
