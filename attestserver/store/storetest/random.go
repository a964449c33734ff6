package storetest

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/approovgate/approovgate/attestserver/account"
)

// oddTexts are texts that a database might take for something else, or bring back changed.
var oddTexts = []string{
	"", " ", "a", "\n", "\t\r\n", "'", `"`, `\`, `\\'; DROP TABLE account; --`, "%s%d%%_", "$1", "?", "NULL", "null", "0", "-1", "1e9", "true", "{}", "[]",
	"\u0001\u007f", "ä", "a\u0308", "ﬁ", "İı", "ß", "\u202e\u200b\ufeff", "😀👩‍👩‍👧‍👦", "\U0010ffff", "\ufffd", "日本語", strings.Repeat("x", 400), strings.Repeat("😀", 100),
	"2026-11-21T00:00:00Z", "\u2028\u2029", "</script>", "&amp;", "\\u0000", "\\x00",
}

// oddTimes are the ends of what is kept, and what is not a whole number of anything.
var oddTimes = []time.Time{
	{}, time.Unix(0, 0), time.Unix(0, 1), time.Unix(-1, 999_999_999), time.Unix(1<<31, 0), time.Unix(1<<32, 123_456_789),
	time.Date(1, 1, 1, 0, 0, 0, 1000, time.UTC), time.Date(1582, 10, 10, 1, 2, 3, 0, time.UTC), time.Date(9999, 12, 31, 23, 59, 59, 999_999_999, time.UTC),
	time.Date(2026, 10, 25, 2, 30, 0, 0, time.FixedZone("odd", 3*3600+1800)),
}

var oddNumbers = []int64{0, 1, -1, math.MaxInt64, math.MinInt64, 1 << 53, 1<<53 + 1}

// random makes accounts at the ends of what an account may be.
type random struct{ *rand.Rand }

func pick[T any](r random, from []T) T { return from[r.IntN(len(from))] }

func (r random) text() string { return pick(r, oddTexts) }

// name is a text that no other in its list has.
func (r random) name(i int) string { return fmt.Sprintf("%s%d", r.text(), i) }

func (r random) when() time.Time { return pick(r, oddTimes) }

func (r random) texts(most int) (all []string) {
	for range r.IntN(most + 1) {
		all = append(all, r.text())
	}
	return all
}

func (r random) secret() account.Secret {
	b := make([]byte, pick(r, []int{0, 1, 16, 64, 2400}))
	if len(b) == 0 {
		return account.Secret{}
	}
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return account.NewSecret(b)
}

func (r random) digest() (d [32]byte) {
	for i := range d {
		d[i] = pick(r, []byte{0, 1, 0x27, 0x5c, 0xff, byte(r.Uint32())})
	}
	return d
}

func (r random) policy() account.Policy {
	return account.Policy{Rules: r.text(), Rejection: account.Rejection(r.text()), Annotation: account.Annotation(r.text())}
}

func (r random) account(name string) *account.Account {
	a := &account.Account{
		Name: name, Created: r.when(), ConfigVersion: pick(r, oddNumbers), Policy: r.policy(), IPTracking: account.IPTracking(r.text()),
		Grace: time.Duration(pick(r, oddNumbers)), DemoDomain: r.text(),
		Network: account.Network{Primary: r.texts(3), Failover: r.texts(3), Pins: r.texts(3)},
	}
	for range r.IntN(12) {
		a.Keys = append(a.Keys, account.Key{Purpose: account.Purpose(r.text()), ID: r.text(), Alg: r.text(), Material: r.secret(), Created: r.when(), NotAfter: r.when()})
	}
	for i := range r.IntN(account.MaxDomains + 1) {
		a.Domains = append(a.Domains, account.Domain{Name: r.name(i), Format: account.Format(r.text()), KeyID: r.text(), Pins: r.texts(4)})
	}
	for i := range r.IntN(account.MaxRegistrations + 1) {
		a.Registrations = append(a.Registrations, account.Registration{Digest: r.digest(), Package: r.text(), Version: r.name(i), Library: r.text(),
			Registered: r.when(), Expires: r.when(), By: r.text(), ByRole: account.Role(r.text())})
	}
	for i := range r.IntN(account.MaxDevices + 1) {
		a.Devices = append(a.Devices, account.Device{ID: r.name(i), Policy: r.policy(), PinMode: account.PinMode(r.text()), By: r.text()})
	}
	for i := range r.IntN(account.MaxLibraries + 1) {
		a.Libraries = append(a.Libraries, account.Library{ID: fmt.Sprint(i * 37), Platform: r.text(), Version: r.text(), Key: r.secret(), Created: r.when()})
	}
	for i := range r.IntN(account.MaxTokens + 1) {
		a.Tokens = append(a.Tokens, account.ManagementToken{ID: r.name(i), Hash: r.digest(), Email: r.text(), Name: r.text(), Role: account.Role(r.text()),
			Issued: r.when(), Expires: r.when(), Initial: r.IntN(2) == 0})
	}
	for i := range r.IntN(5) {
		c := account.Control{Gate: r.name(i), Version: pick(r, oddNumbers), Mode: r.text(), Until: r.when(), Reason: r.text(), By: r.text()}
		for range r.IntN(4) {
			if c.Routes == nil {
				c.Routes = map[string]string{}
			}
			c.Routes[r.text()] = r.text()
		}
		a.Controls = append(a.Controls, c)
	}
	r.Shuffle(len(a.Domains), func(i, j int) { a.Domains[i], a.Domains[j] = a.Domains[j], a.Domains[i] })
	return a
}

// kept is an account as it is promised to come back, written down a second time: times in UTC to the microsecond
// below, lists sorted, keys as they were.
func kept(a *account.Account) *account.Account {
	c := a.Clone()
	micro := func(t *time.Time) {
		if !t.IsZero() {
			*t = t.UTC()
			*t = t.Add(-time.Duration(t.Nanosecond() % 1000))
		}
	}
	micro(&c.Created)
	for i := range c.Keys {
		micro(&c.Keys[i].Created)
		micro(&c.Keys[i].NotAfter)
	}
	for i := range c.Registrations {
		micro(&c.Registrations[i].Registered)
		micro(&c.Registrations[i].Expires)
	}
	for i := range c.Libraries {
		micro(&c.Libraries[i].Created)
	}
	for i := range c.Tokens {
		micro(&c.Tokens[i].Issued)
		micro(&c.Tokens[i].Expires)
	}
	for i := range c.Controls {
		micro(&c.Controls[i].Until)
	}
	slices.SortFunc(c.Domains, func(x, y account.Domain) int { return strings.Compare(x.Name, y.Name) })
	slices.SortFunc(c.Registrations, func(x, y account.Registration) int { return strings.Compare(x.Signature(), y.Signature()) })
	slices.SortFunc(c.Devices, func(x, y account.Device) int { return strings.Compare(x.ID, y.ID) })
	slices.SortFunc(c.Tokens, func(x, y account.ManagementToken) int { return strings.Compare(x.ID, y.ID) })
	slices.SortFunc(c.Controls, func(x, y account.Control) int { return strings.Compare(x.Gate, y.Gate) })
	return c
}

func testRandomAccounts(t *testing.T, db Database) {
	s := open(t, db)
	r := random{rand.New(rand.NewPCG(20261121, 6))}
	for i := range 12 {
		name := fmt.Sprintf("%s#%d", r.text(), i)
		if name = strings.TrimSpace(name); len(name) > 400 {
			name = name[len(name)-8:]
		}
		a := r.account(name)
		if i == 0 {
			full(r, a)
		}
		create(t, s, a)
		want := kept(a)
		want.Version = 1
		wantEqual(t, fmt.Sprintf("account %d, created", i), one(t, s, name), want)
		next := r.account(name)
		after := change(t, s, name, func(a *account.Account) {
			entries := a.Entries
			*a = *next.Clone()
			a.Entries = entries
		})
		want = kept(next)
		want.Version = 2
		wantEqual(t, fmt.Sprintf("account %d, changed, as returned", i), after, want)
		wantEqual(t, fmt.Sprintf("account %d, changed", i), one(t, s, name), want)
	}
}

// full fills an account to its bounds.
func full(r random, a *account.Account) {
	a.Domains, a.Registrations = nil, nil
	for i := range account.MaxDomains {
		a.Domains = append(a.Domains, account.Domain{Name: fmt.Sprintf("d%d.example", i), Pins: r.texts(4)})
	}
	for i := range account.MaxRegistrations {
		a.Registrations = append(a.Registrations, account.Registration{Digest: r.digest(), Package: "p", Version: fmt.Sprint(i), Registered: r.when()})
	}
}

// Both dialects refuse what one of them cannot keep: else a database could not be moved from one to the other.
func testUnkept(t *testing.T, db Database) {
	s := open(t, db)
	create(t, s, Small("acme"))
	far := time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)
	for name, row := range map[string]struct {
		do   func(a *account.Account)
		part string
	}{
		"a NUL in a text":        {func(a *account.Account) { a.DemoDomain = "a\x00b" }, "NUL"},
		"a NUL in a name":        {func(a *account.Account) { a.Domains[0].Name = "a\x00b" }, "NUL"},
		"a NUL in a list":        {func(a *account.Account) { a.Domains[0].Pins = []string{"a\x00"} }, "NUL"},
		"a NUL in a map":         {func(a *account.Account) { a.Controls[0].Routes = map[string]string{"\x00": ""} }, "NUL"},
		"a text not UTF-8":       {func(a *account.Account) { a.Devices[0].By = "a\xff" }, "UTF-8"},
		"a list not UTF-8":       {func(a *account.Account) { a.Network.Pins = []string{"\xc0\xaf"} }, "UTF-8"},
		"an entry not UTF-8":     {func(a *account.Account) { a.Entries = []account.Entry{{Detail: "\xed\xa0\x80"}} }, "UTF-8"},
		"the year 10000":         {func(a *account.Account) { a.Created = far }, "year 10000"},
		"the year 0":             {func(a *account.Account) { a.Tokens[0].Expires = time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC) }, "year 0"},
		"an entry far in future": {func(a *account.Account) { a.Entries = []account.Entry{{At: far}} }, "year 10000"},
		"a name of 501 bytes":    {func(a *account.Account) { a.Registrations[0].Package = strings.Repeat("x", 501) }, "501 bytes"},
	} {
		_, err := s.Change(t.Context(), "acme", func(a *account.Account) error {
			row.do(a)
			a.Entries = append(a.Entries, Note("x"))
			return nil
		})
		wantError(t, name, err, row.part)
	}
	wantEqual(t, "afterwards", one(t, s, "acme"), Small("acme"))
	for name, part := range map[string]string{"a\x00b": "NUL", "\xff": "UTF-8", strings.Repeat("x", 501): "501 bytes"} {
		wantError(t, "an account's name", s.Create(t.Context(), Small(name)), part)
	}
	longest := strings.Repeat("😀", 125)
	change(t, s, "acme", func(a *account.Account) {
		a.Registrations[0].Package, a.Registrations[0].Version, a.Registrations[0].Library = longest, longest, longest
		a.Domains[0].Pins = []string{strings.Repeat("y", 100_000)}
	})
	got := one(t, s, "acme")
	if r := got.Registrations[0]; r.Package != longest || r.Version != longest || r.Library != longest || len(got.Domains[0].Pins[0]) != 100_000 {
		t.Errorf("got %.100q, want what may be kept at its longest", r.Package)
	}
}
