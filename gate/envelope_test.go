package gate_test

import (
	"encoding/base64"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/approovgate/approovgate/config"
	"github.com/approovgate/approovgate/engine"
	"github.com/approovgate/approovgate/gate"
	"github.com/approovgate/approovgate/jose"
	"github.com/approovgate/approovgate/mint"
)

var update = flag.Bool("update", false, "write testdata/control/envelopes/envelopes.json again")

const envelopesFile = "../testdata/control/envelopes/envelopes.json"

// envelopeVector is one entry of the file: a compact JWS under the test key "control", and what becomes
// of it on a gate named edge at noon.
type envelopeVector struct {
	Name     string `json:"name"`
	Envelope string `json:"envelope"`
	Refused  string `json:"refused,omitempty"` // beginning of the error; empty: accepted
	Version  int64  `json:"version,omitempty"` // of the accepted document
}

const controlHeader = `{"alg":"HS256","typ":"approov-control+jwt"}`

// drafts are the vectors before signing. %d is noon in Unix seconds.
var drafts = []struct{ name, key, header, payload, refused string }{
	{"a good one is accepted", "control", controlHeader,
		`{"aud":"edge","iat":%d,"version":7,"mode":"log","until":"2030-01-31T13:00:00Z","routes":{"pay":"bypass"},"reason":"incident 12","by":"ops"}`, ""},
	{"one of several gates addressed accepts", "control", controlHeader, `{"aud":["other","edge"],"iat":%d,"version":8,"mode":"log","until":"2030-01-31T13:00:00Z"}`, ""},
	{"a resume needs no end", "control", controlHeader, `{"aud":"edge","iat":%d,"version":9}`, ""},
	{"typ counts no letter case and may be a whole media type", "control", `{"alg":"HS256","typ":"application/Approov-Control+JWT"}`, `{"aud":"edge","iat":%d,"version":10}`, ""},
	{"a token's typ is refused", "control", `{"alg":"HS256","typ":"JWT"}`, `{"aud":"edge","iat":%d,"version":7}`, "the envelope cannot be trusted: algorithm_refused"},
	{"no typ is refused", "control", `{"alg":"HS256"}`, `{"aud":"edge","iat":%d,"version":7}`, "the envelope cannot be trusted: algorithm_refused"},
	{"another gate's document is refused", "control", controlHeader, `{"aud":"Edge","iat":%d,"version":7}`, "aud"},
	{"one without aud is refused", "control", controlHeader, `{"iat":%d,"version":7}`, "aud"},
	{"an aud of another type is refused", "control", controlHeader, `{"aud":{"edge":1},"iat":%d,"version":7}`, "aud"},
	{"one without iat is refused", "control", controlHeader, `{"aud":"edge","version":7}`, "iat"},
	{"an iat of another type is refused", "control", controlHeader, `{"aud":"edge","iat":"%d","version":7}`, "iat"},
	{"a null iat is refused", "control", controlHeader, `{"aud":"edge","iat":null,"version":7}`, "iat"},
	{"an iat ahead of the clock by more than five minutes is refused", "control", controlHeader, `{"aud":"edge","iat":%d301,"version":7}`, "iat"},
	{"one that has ended is opened, so that its version is known", "control", controlHeader, `{"aud":"edge","iat":%d,"version":7,"mode":"log","until":"2030-01-31T12:00:00Z"}`, ""},
	{"an endless override is refused", "control", controlHeader, `{"aud":"edge","iat":%d,"version":7,"mode":"log"}`, "until"},
	{"an endless override of a route is refused, even a stricter one", "control", controlHeader, `{"aud":"edge","iat":%d,"version":7,"routes":{"pay":"enforce"}}`, "until"},
	{"a null end is refused", "control", controlHeader, `{"aud":"edge","iat":%d,"version":7,"mode":"log","until":null}`, "the control document is not valid: until"},
	{"the account's key is the wrong key", "account", controlHeader, `{"aud":"edge","iat":%d,"version":7}`, "the envelope cannot be trusted: signature_invalid"},
	{"alg none is refused", "none", `{"alg":"none","typ":"approov-control+jwt"}`, `{"aud":"edge","iat":%d,"version":7}`, "the envelope cannot be trusted: algorithm_refused"},
	{"a member that stands twice is refused", "control", controlHeader, `{"aud":"edge","iat":%d,"version":7,"version":8}`, "the document is not strict JSON"},
	{"a route that stands twice is refused", "control", controlHeader, `{"aud":"edge","iat":%d,"version":7,"routes":{"a":"log","a":"log"},"until":"2030-01-31T13:00:00Z"}`, "routes"},
	{"an unknown member is refused", "control", controlHeader, `{"aud":"edge","iat":%d,"version":7,"modes":"log"}`, "the control document is not valid: modes"},
	{"an unknown mode is refused", "control", controlHeader, `{"aud":"edge","iat":%d,"version":7,"mode":"off","until":"2030-01-31T13:00:00Z"}`, "the control document is not valid: mode"},
	{"a list where a word belongs is refused", "control", controlHeader, `{"aud":"edge","iat":%d,"version":7,"mode":["log"]}`, "the control document is not valid: mode"},
	{"one without version is refused", "control", controlHeader, `{"aud":"edge","iat":%d}`, "the control document is not valid: version"},
	{"text behind the document is refused", "control", controlHeader, `{"aud":"edge","iat":%d,"version":7}{}`, "the document is not strict JSON"},
	{"a payload that is no object is refused", "control", controlHeader, `["edge",%d]`, "the document is not strict JSON"},
}

// writeEnvelopes signs the drafts. HS256 gives the same file every time.
func writeEnvelopes(t *testing.T) {
	t.Helper()
	var vectors []envelopeVector
	for _, d := range drafts {
		now := fmt.Sprint(noon.Unix())
		if strings.Contains(d.payload, "%d301") {
			now, d.payload = fmt.Sprint(noon.Unix()+301), strings.Replace(d.payload, "%d301", "%d", 1)
		}
		payload := strings.Replace(d.payload, "%d", now, 1)
		envelope, err := mint.SignRaw("HS256", testKey(d.key), d.header, payload)
		if err != nil {
			t.Fatal(err)
		}
		if d.key == "none" {
			envelope = envelope[:strings.LastIndexByte(envelope, '.')+1]
		}
		v := envelopeVector{Name: d.name, Envelope: envelope, Refused: d.refused}
		if d.refused == "" {
			var document struct{ Version int64 }
			if err := json.Unmarshal([]byte(payload), &document); err != nil {
				t.Fatal(err)
			}
			v.Version = document.Version
		}
		vectors = append(vectors, v)
	}
	text, err := json.MarshalIndent(vectors, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(envelopesFile, append(text, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
}

func controlRing(t *testing.T) *jose.Ring {
	t.Helper()
	key, err := jose.NewHS256("control", "", testKey("control"), false)
	if err != nil {
		t.Fatal(err)
	}
	ring, err := jose.NewRing([]jose.Key{key})
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

func TestControlEnvelopes(t *testing.T) {
	if *update {
		writeEnvelopes(t)
	}
	text, err := os.ReadFile(envelopesFile)
	if err != nil {
		t.Fatal(err)
	}
	var vectors []envelopeVector
	if err := json.Unmarshal(text, &vectors); err != nil || len(vectors) != len(drafts) {
		t.Fatalf("got %d vectors (%v), want %d; run this test with -update", len(vectors), err, len(drafts))
	}
	ring := controlRing(t)
	for _, v := range vectors {
		control, err := gate.OpenControl(v.Envelope, ring, "edge", noon)
		if v.Refused == "" && (err != nil || control.Version != v.Version) {
			t.Errorf("%s: got version %d and error %v, want version %d", v.Name, control.Version, err, v.Version)
		}
		if v.Refused != "" && (err == nil || !strings.HasPrefix(err.Error(), v.Refused) || control.Version != 0 || !control.Empty()) {
			t.Errorf("%s: got %+v and error %v, want none and an error that begins %q", v.Name, control, err, v.Refused)
		}
	}
}

func TestAGoodEnvelopeIsReadWhole(t *testing.T) {
	envelope, err := mint.SignRaw("HS256", testKey("control"), controlHeader, fmt.Sprintf(drafts[0].payload, noon.Unix()))
	if err != nil {
		t.Fatal(err)
	}
	got, err := gate.OpenControl(envelope, controlRing(t), "edge", noon)
	if err != nil {
		t.Fatal(err)
	}
	if got.Mode != config.Log || got.Routes["pay"].Mode != config.Bypass || !got.Until.Equal(noon.Add(time.Hour)) || got.Reason != "incident 12" || got.By != "ops" {
		t.Errorf("got %+v, want mode log, route pay in bypass, until 13:00, with reason and author", got)
	}
	for _, row := range []struct {
		name string
		now  time.Time
		ok   bool
	}{
		{"five minutes before it was issued", noon.Add(-5 * time.Minute), true},
		{"more than that", noon.Add(-5*time.Minute - time.Second), false},
		{"just before its end", noon.Add(time.Hour - time.Second), true},
		{"at its end, for the sake of its version", noon.Add(time.Hour), true},
	} {
		if _, err := gate.OpenControl(envelope, controlRing(t), "edge", row.now); (err == nil) != row.ok {
			t.Errorf("%s: got error %v, want accepted %v", row.name, err, row.ok)
		}
	}
	if _, err := gate.OpenControl(envelope+strings.Repeat("A", 65536), controlRing(t), "edge", noon); err == nil || !strings.Contains(err.Error(), "64 KiB") {
		t.Errorf("an oversized envelope: got error %v, want one that names the limit", err)
	}
}

// One secret may not serve both purposes, but if it does, neither thing is taken for the other.
func TestEnvelopesAndTokensAreNotInterchangeable(t *testing.T) {
	d := newDesk(nil)
	d.secrets["env:ACCOUNT"] = base64.StdEncoding.EncodeToString(testKey("control"))
	g := d.open(t)
	payload := fmt.Sprintf(`{"aud":"approovgate","iat":%d,"exp":%d,"version":7}`, noon.Unix(), noon.Unix()+60)
	for _, row := range []struct {
		name, header string
		token        engine.Reason
	}{
		{"a token", `{"alg":"HS256","typ":"JWT"}`, engine.OK},
		{"an envelope", controlHeader, engine.AlgorithmRefused},
		{"an envelope with a whole media type", `{"alg":"HS256","typ":"application/approov-control+jwt"}`, engine.AlgorithmRefused},
	} {
		compact, err := mint.SignRaw("HS256", testKey("control"), row.header, payload)
		if err != nil {
			t.Fatal(err)
		}
		if got := g.Ask(incoming("GET", "/", "Approov-Token", compact)).Reason; got != row.token {
			t.Errorf("%s for a token: got %s, want %s", row.name, got, row.token)
		}
	}
	compact, err := mint.SignRaw("HS256", testKey("control"), `{"alg":"HS256","typ":"JWT"}`, fmt.Sprintf(`{"aud":"edge","iat":%d,"version":7}`, noon.Unix()))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := gate.OpenControl(compact, controlRing(t), "edge", noon); err == nil {
		t.Error("a token for an envelope: got it accepted, want an error")
	}
}
