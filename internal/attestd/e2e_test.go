package attestd_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/approovgate/approovgate/attestapi"
)

// world is the service, an app registered with it, and a gate that has its keys from the service.
type world struct {
	s      *service
	gate   *sidecar
	app    string // path of the genuine one
	config string // the initial configuration
	device *device
}

// ringPolicy has the gate fetch the account's keys from the service. The rest of the policy follows.
const ringPolicy = `
  name: edge
  control: {url: "%URL%/gate/v1/control?gate=edge", keys: ["file:%PIN%"], token: "file:%TOKEN%", ca: "%CA%", interval: 1s}
  keys: [{name: fleet, ring: "%URL%/gate/v1/keys?gate=edge"}]
  routes:
    - {name: vault, paths: [/vault], format: jwe}
    - {name: bound, paths: [/bound], binding: {from: ["header:Authorization"]}}
`

// newWorld does what a new user does: an API domain, an app, its registration, a gate.
func newWorld(t *testing.T, db database) *world {
	t.Helper()
	data, flags := db.prepare(t)
	w := &world{s: startSecure(t, data, flags...)}
	dir := t.TempDir()
	for _, domain := range [][]string{{"api.example.com"}, {"vault.example.com", "-jwe"}} {
		w.s.approov(t, append([]string{"api", "-pinType", "none", "-add"}, domain...)...)
	}
	w.app = filepath.Join(dir, "shop")
	w.s.makeApp(t, w.app, "")
	w.s.approov(t, "registration", "-add", w.app, "-package", appPackage, "-versionName", "1.0")
	file := filepath.Join(dir, "approov.config")
	w.s.approov(t, "sdk", "-getConfig", file)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	w.config = string(text)
	pin, token := filepath.Join(dir, "gateway.pem"), filepath.Join(dir, "gate.tok")
	w.s.approov(t, "gateway", "-getKeys", pin)
	w.s.approov(t, "management", "-add", "ops@example.com,edge,30d", "-gateway", "-file", token)
	w.gate = startGate(t, strings.NewReplacer("%URL%", w.s.url(), "%PIN%", pin, "%TOKEN%", token, "%CA%", w.s.ca).Replace(ringPolicy))
	w.device = w.s.run(t, w.app, w.config, filepath.Join(dir, "device"))
	return w
}

// other is another app, or another device.
func (w *world) other(t *testing.T, path string) *device {
	t.Helper()
	return w.s.run(t, path, w.config, t.TempDir())
}

// expect asks the gate and compares.
func (w *world) expect(t *testing.T, what, path, token string, want string, headers ...string) {
	t.Helper()
	status := map[string]int{"ok": 200}[want]
	if status == 0 {
		status = 401
	}
	before := w.gate.reasons()
	got, reason := w.gate.ask(t, path, token, headers...), "ok"
	if got != 200 {
		reason = w.gate.reason(t, before)
	}
	if got != status || reason != want {
		t.Errorf("%s: got status %d and %s, want %d and %s", what, got, reason, status, want)
	}
}

func TestFromARegisteredAppToTheAPI(t *testing.T) {
	for _, db := range databases() {
		t.Run(db.name, func(t *testing.T) {
			w := newWorld(t, db)
			token := w.device.fetch("api.example.com")
			w.expect(t, "a genuine app", "/", token, "ok")
			w.expect(t, "its encrypted token", "/vault", w.device.fetch("vault.example.com"), "ok")
			w.expect(t, "a signed token where an encrypted one is wanted", "/vault", token, "algorithm_refused")
			if a := w.device.do("fetch other.example.com"); a.Status != "UNKNOWN_URL" {
				t.Errorf("a domain nobody added: got %s, want UNKNOWN_URL", a.Status)
			}

			w.device.do("bind Bearer alice")
			bound := w.device.fetch("api.example.com")
			w.expect(t, "a bound token with its user", "/bound", bound, "ok", "Authorization: Bearer alice")
			w.expect(t, "a bound token with another user", "/bound", bound, "binding_mismatch", "Authorization: Bearer mallory")

			patched := filepath.Join(t.TempDir(), "shop")
			w.s.makeApp(t, patched, "patched\n")
			w.expect(t, "a patched copy of the app", "/", w.other(t, patched).fetch("api.example.com"), "signature_invalid")
			w.expect(t, "its encrypted token", "/vault", w.other(t, patched).fetch("vault.example.com"), "decryption_failed")

			if err := os.WriteFile(w.gate.clock, []byte("6m"), 0o600); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the gate's clock has moved", func() string {
				if w.gate.ask(t, "/", token) == 200 {
					return "the token is still good"
				}
				return ""
			})
			w.expect(t, "six minutes later", "/", token, "token_expired")
		})
	}
}

func TestDevicesAreJudgedByTheirPolicies(t *testing.T) {
	w := newWorld(t, databases()[0])
	d := w.other(t, w.app)
	w.expect(t, "a device without a policy of its own", "/", d.fetch("api.example.com"), "ok")
	did := d.do("config").Device
	for _, row := range []struct{ policy, want string }{
		{"default,blacklist,all", "signature_invalid"},
		{"default,whitelist,all", "ok"},
	} {
		w.s.approov(t, "device", "-add", did, "-policy", row.policy)
		d.do("bind " + row.policy) // a new attestation
		w.expect(t, row.policy, "/", d.fetch("api.example.com"), row.want)
	}
	w.s.approov(t, "device", "-remove", did)

	patched := filepath.Join(t.TempDir(), "shop")
	w.s.makeApp(t, patched, "patched\n")
	p := w.other(t, patched)
	w.s.approov(t, "device", "-add", p.do("config").Device, "-policy", "default,whitelist,all")
	w.expect(t, "an app that is not registered, on a whitelisted device", "/", p.fetch("api.example.com"), "ok")
}

// A removed registration ends its app's tokens within 30 s (manual, "Removing Registrations"); on one node at once.
func TestARemovedRegistrationEndsTokens(t *testing.T) {
	w := newWorld(t, databases()[0])
	w.expect(t, "registered", "/", w.device.fetch("api.example.com"), "ok")
	list := w.s.approov(t, "registration", "-list")
	signature := regexp.MustCompile(`\S+=` + regexp.QuoteMeta(appPackage) + `\S+`).FindString(list)
	if signature == "" {
		t.Fatalf("registration -list: got %q, want a line with %s", list, appPackage)
	}
	w.s.approov(t, "registration", "-remove", signature)
	w.device.do("bind again") // a new attestation
	w.expect(t, "removed", "/", w.device.fetch("api.example.com"), "signature_invalid")
}

// Domains may have a key of the keyset in place of the account secret.
func TestKeysetDomains(t *testing.T) {
	w := newWorld(t, databases()[0])
	for _, alg := range []string{"ES256", "RS256"} {
		domain := strings.ToLower(alg) + ".example.com"
		w.s.approov(t, "keyset", "-add", alg, "-kid", "key-"+alg)
		w.s.approov(t, "api", "-pinType", "none", "-add", domain, "-keyID", "key-"+alg)
		d := w.other(t, w.app) // the running one learns of the domain with its next attestation
		d.do("bind " + alg)
		if a := d.do("fetch " + domain); a.Status != "SUCCESS" && a.Status != "UNKNOWN_URL" {
			t.Fatalf("%s: got %s", domain, a.Status)
		}
		d.fetch("api.example.com") // brings the configuration with the domain
		token := d.fetch(domain)
		eventually(t, alg+" tokens pass the gate", func() string {
			if status := w.gate.ask(t, "/", token); status != 200 {
				return fmt.Sprint(w.gate.reasons())
			}
			return ""
		})
	}
}

// The account secret changes while apps send tokens: those made before and after are accepted, all the way.
func TestASecretUpdateRejectsNobody(t *testing.T) {
	w := newWorld(t, databases()[0])
	before := w.device.fetch("api.example.com")
	stop := make(chan struct{})
	var asking sync.WaitGroup
	asked, refused := 0, 0
	asking.Add(1)
	go func() { // ends with stop
		defer asking.Done()
		for {
			select {
			case <-stop:
				return
			default:
			}
			asked++
			if w.gate.ask(t, "/", before) != 200 {
				refused++
			}
		}
	}()
	old := w.s.approov(t, "secret", "-get")
	printed := w.s.approov(t, "secret", "-update")
	if now := w.s.approov(t, "secret", "-get"); now == old || !strings.Contains(printed, strings.TrimSpace(now)) {
		t.Errorf("secret -update: got %q, want the new secret in it, and that is %q", printed, now)
	}
	changed := time.Now()
	w.device.do("bind the new secret")
	after := w.device.fetch("api.example.com")
	eventually(t, "a token under the new secret passes", func() string {
		if w.gate.ask(t, "/", after) != 200 {
			return fmt.Sprint(w.gate.reasons())
		}
		return ""
	})
	took := time.Since(changed)
	close(stop)
	asking.Wait()
	if refused > 0 || asked == 0 {
		t.Errorf("got %d of %d requests with the old token refused, want none", refused, asked)
	}
	t.Logf("%d requests with the old token; the gate knew the new secret after %v", asked, took)
}

func TestTokensMadeByHand(t *testing.T) {
	w := newWorld(t, databases()[0])
	long := lastLine(w.s.approov(t, "token", "-genLongLived", "server-token,90d"))
	w.expect(t, "a long-lived token", "/", long, "ok")
	for _, row := range []struct{ kind, want string }{{"valid", "ok"}, {"invalid", "signature_invalid"}, {"failover", "ok"}} {
		w.expect(t, "an example token: "+row.kind, "/", lastLine(w.s.approov(t, "token", "-genExample", "api.example.com", "-type", row.kind)), row.want)
	}
	w.expect(t, "an encrypted example token", "/vault", lastLine(w.s.approov(t, "token", "-genExample", "vault.example.com")), "ok")
	if got := w.s.approov(t, "token", "-check", long); !strings.HasPrefix(got, "valid: JWS {") || !strings.Contains(got, `"iss":"server-token"`) {
		t.Errorf("token -check: got %q, want a valid one with its iss", got)
	}
}

// lastLine is the last line of what a command prints: for those that warn before.
func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	for _, line := range lines {
		if strings.HasPrefix(line, "eyJ") {
			return line
		}
	}
	return lines[len(lines)-1]
}

// The fleet's switch: a signed control document, fetched by the gate, that ends by itself or by resume.
func TestTheServiceSwitchesItsGates(t *testing.T) {
	w := newWorld(t, databases()[0])
	w.expect(t, "enforced", "/", "", "token_missing")
	w.s.approov(t, "gateway", "-setMode", "bypass", "-gates", "edge", "-for", "15m", "-reason", "the service is down")
	eventually(t, "the gate lets everything through", func() string {
		if status := w.gate.ask(t, "/", ""); status != 200 {
			return fmt.Sprint(w.gate.reasons())
		}
		return ""
	})
	w.s.approov(t, "gateway", "-setMode", "resume", "-gates", "edge", "-reason", "it is back")
	eventually(t, "the gate enforces again", func() string {
		if status := w.gate.ask(t, "/", ""); status == 200 {
			return "it does not"
		}
		return ""
	})
	var audit attestapi.Audit
	if err := json.Unmarshal([]byte(w.s.approov(t, "audit", "-json")), &audit); err != nil {
		t.Fatal(err)
	}
	if len(audit.Entries) == 0 || audit.Entries[0].Action != "gateway.set" {
		t.Errorf("audit: got %+v, want the switch first", audit.Entries)
	}
}
