package pinwatch

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/approovgate/approovgate/attestapi"
	"github.com/approovgate/approovgate/pins"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// R209: what is told of a domain, look after look. A step is what is seen, and after the colon what is told: event,
// state and the state before.
func TestWhatIsTold(t *testing.T) {
	far, soon := noon.AddDate(1, 0, 0), noon.AddDate(0, 0, 13)
	see := map[string]func() (pins.Chain, error){
		"A":       func() (pins.Chain, error) { return chainOf(far, "A", "I", "R"), nil },
		"B":       func() (pins.Chain, error) { return chainOf(far, "B", "I", "R"), nil },
		"A other": func() (pins.Chain, error) { return chainOf(far, "A", "J", "R"), nil },
		"foreign": func() (pins.Chain, error) { return chainOf(far, "X", "Y"), nil },
		"soon":    func() (pins.Chain, error) { return chainOf(soon, "A", "I", "R"), nil },
		"sooner":  func() (pins.Chain, error) { return chainOf(noon.AddDate(0, 0, 2), "A", "I", "R"), nil },
		"down": func() (pins.Chain, error) {
			return pins.Chain{}, errors.New("a.example cannot be reached: it closes the connection")
		},
		"untrusted": func() (pins.Chain, error) {
			c := chainOf(far, "A", "I", "R")
			c.Problem = errors.New("expired")
			return c, nil
		},
	}
	for _, row := range []struct {
		name  string
		pins  []string
		steps []string
	}{
		{"a domain that is in order", []string{"A"}, []string{"A:", "A:"}},
		{"a domain without pins", nil, []string{"A:", "A:"}},
		{"an intermediate pin", []string{"Q", "I"}, []string{"A:"}},
		{"no pin matches from the beginning", []string{"Q"}, []string{"A:problem mismatched unknown", "A:"}},
		{"another key", []string{"A"}, []string{"A:", "B:problem mismatched matched", "B:", "A:recovered matched mismatched"}},
		{"another key under the same intermediate pin", []string{"I"}, []string{"A:", "B:changed matched matched", "B:"}},
		{"another chain under the same leaf", []string{"A"}, []string{"A:", "A other:changed matched matched"}},
		{"another key without pins", nil, []string{"A:", "B:changed unpinned unpinned"}},
		{"keys that take turns", []string{"R"}, []string{"A:", "B:changed matched matched", "A:", "B:", "A:"}},
		{"another foreign key", []string{"Q"}, []string{"A:problem mismatched unknown", "foreign:changed mismatched mismatched"}},
		{"one look that fails", []string{"A"}, []string{"A:", "down:", "A:", "down:", "A:"}},
		{"two looks that fail", []string{"A"}, []string{"A:", "down:", "down:problem unreachable matched", "down:", "A:recovered matched unreachable"}},
		{"back with another key", []string{"A"}, []string{"A:", "down:", "down:problem unreachable matched", "B:problem mismatched unreachable"}},
		{"back with another key and the same intermediate", []string{"I"}, []string{"A:", "down:", "down:problem unreachable matched", "B:recovered matched unreachable"}},
		{"down from the beginning", []string{"A"}, []string{"down:", "down:problem unreachable unknown"}},
		{"down once at the beginning", []string{"A"}, []string{"down:", "A:"}},
		{"a certificate nobody trusts", []string{"A"}, []string{"A:", "untrusted:problem untrusted matched", "untrusted:", "A:recovered matched untrusted"}},
		{"from bad to worse", []string{"A"}, []string{"B:problem mismatched unknown", "untrusted:problem untrusted mismatched"}},
		{"a certificate that ends soon", []string{"A"}, []string{"A:", "soon:expiring matched matched", "soon:", "soon:"}},
		{"certificates that end soon and take turns", []string{"A"}, []string{"soon:expiring matched unknown", "sooner:expiring matched matched", "soon:", "sooner:"}},
		{"two things at once", []string{"B"}, []string{"B:", "soon:problem mismatched matched, expiring mismatched matched"}},
	} {
		x := &watched{key: key{"acme", "a.example"}, pins: row.pins, status: attestapi.PinStatus{Domain: "a.example", State: attestapi.PinsUnknown}}
		for i, step := range row.steps {
			seen, want, _ := strings.Cut(step, ":")
			chain, err := see[seen]()
			messages, _ := x.take(noon.Add(time.Duration(i)*10*time.Minute), chain, err)
			var told []string
			for _, m := range messages {
				told = append(told, m.Event+" "+m.State+" "+m.Previous)
			}
			if got := strings.Join(told, ", "); got != want {
				t.Errorf("%s, look %d (%s): got %q, want %q", row.name, i, seen, got, want)
			}
		}
	}
}

// A chain that was not seen for a day is told again.
func TestAKeyThatComesBack(t *testing.T) {
	x := &watched{key: key{"acme", "a.example"}, pins: []string{"R"}}
	far := noon.AddDate(1, 0, 0)
	for _, step := range []struct {
		after time.Duration
		leaf  string
		want  int
	}{{0, "A", 0}, {time.Hour, "B", 1}, {2 * time.Hour, "A", 0}, {3 * time.Hour, "B", 0}, {30 * time.Hour, "A", 1}, {90 * time.Hour, "A", 0}} {
		x.status.State = attestapi.PinsMatched
		if messages, _ := x.take(noon.Add(step.after), chainOf(far, step.leaf, "R"), nil); len(messages) != step.want {
			t.Errorf("%s after %v: got %v, want %d messages", step.leaf, step.after, messages, step.want)
		}
	}
	for i := range 100 {
		x.take(noon.Add(time.Duration(i)*time.Hour), chainOf(noon.AddDate(0, 0, 7).Add(time.Duration(i)*time.Second), fmt.Sprint(i)), nil)
		if len(x.seen) > maxSeen || len(x.warned) > maxSeen {
			t.Fatalf("got %d chains and %d ends remembered, want at most %d", len(x.seen), len(x.warned), maxSeen)
		}
	}
}

// What a status shows after each look.
func TestStatus(t *testing.T) {
	x := &watched{key: key{"acme", "a.example"}, pins: []string{"Q", "I"}, status: attestapi.PinStatus{Domain: "a.example", State: attestapi.PinsUnknown}}
	far := noon.AddDate(1, 0, 0)
	at := func(minutes int) time.Time { return noon.Add(time.Duration(minutes) * time.Minute) }
	matched := attestapi.PinStatus{Domain: "a.example", State: "matched", Pin: "I", Leaf: "A", Expires: far, Since: at(0), Checked: at(0)}
	check := func(name string, want attestapi.PinStatus) {
		t.Helper()
		if x.status != want {
			t.Errorf("%s: got %+v, want %+v", name, x.status, want)
		}
	}
	x.take(at(0), chainOf(far, "A", "I"), nil)
	check("matched", matched)
	x.take(at(10), pins.Chain{}, errDown)
	matched.Checked, matched.Detail = at(10), errDown.Error()
	check("one failure", matched)
	x.take(at(11), chainOf(far, "A", "I"), nil)
	matched.Checked, matched.Detail = at(11), ""
	check("and well again", matched)
	x.take(at(20), chainOf(far, "B"), nil)
	check("mismatched", attestapi.PinStatus{Domain: "a.example", State: "mismatched", Leaf: "B", Expires: far, Detail: "no certificate has one of the pins", Since: at(20), Checked: at(20)})
	x.take(at(30), pins.Chain{}, errDown)
	x.take(at(31), pins.Chain{}, errDown)
	check("unreachable", attestapi.PinStatus{Domain: "a.example", State: "unreachable", Leaf: "B", Expires: far, Detail: errDown.Error(), Since: at(31), Checked: at(31)})
}

// The sentences for people: they name what to do with, and repeat nothing that a server says of itself.
func TestSentences(t *testing.T) {
	x := &watched{key: key{"acme", "a.example"}, pins: []string{"I"}, status: attestapi.PinStatus{Domain: "a.example", State: attestapi.PinsUnknown}}
	far := noon.AddDate(1, 0, 0)
	evil := chainOf(far, "E", "R")
	evil.Problem = errors.New("x509: <!channel> see https://evil.example")
	var got []string
	tell := func(minutes int, chain pins.Chain, err error) {
		messages, _ := x.take(noon.Add(time.Duration(minutes)*time.Minute), chain, err)
		for _, m := range messages {
			got = append(got, m.Text)
		}
	}
	tell(0, chainOf(far, "A", "I"), nil)
	tell(10, chainOf(far, "B", "I"), nil)
	tell(20, chainOf(far, "B", "I", "R"), nil)
	tell(30, chainOf(far, "C", "R"), nil)
	tell(40, evil, nil)
	tell(50, chainOf(far, "A", "I"), nil)
	tell(60, pins.Chain{}, errDown)
	tell(61, pins.Chain{}, errDown)
	x.pins = nil
	tell(70, chainOf(noon.AddDate(0, 0, 7), "A", "I"), nil)
	x.pins = []string{"A"}
	tell(80, chainOf(noon.AddDate(0, 0, 7), "A", "I"), nil)
	for i, want := range []string{
		"Account acme: a.example shows another leaf key, with the pin B in place of A: pin I matches.",
		"Account acme: a.example shows another chain of certificates: pin I matches.",
		"Account acme: no certificate of a.example has one of its pins, so apps refuse to connect; the leaf's pin is C.",
		"Account acme: the certificates of a.example are not trusted, so apps refuse to connect; the leaf's pin is E.",
		"Account acme: a.example is in order again: pin I matches.",
		"Account acme: a.example cannot be reached from the attestation service.",
		"Account acme: a.example is in order again: it has no pins.",
		"Account acme: a certificate of a.example ends on 2026-03-08 12:00 UTC.",
		"Account acme: the pins of a.example have been changed: pin A matches.",
	} {
		if i >= len(got) || got[i] != want {
			t.Fatalf("sentence %d: got %q, want %q", i, got[min(i, len(got)):], want)
		}
	}
	if len(got) != 9 {
		t.Errorf("got besides %q", got[9:])
	}
}
