package gate

import (
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/approovgate/approovgate/config"
	"github.com/approovgate/approovgate/jose"
	"github.com/approovgate/approovgate/source"
)

// remote is one document that is fetched from a URL, and what is known of it. Gate.mu guards it.
type remote struct {
	field    string     // of the policy that names it, such as control.url
	key      config.Key // zero: it is the control document
	keyIndex int        // of the policy's keys; -1: it is the control document
	url      string
	interval time.Duration
	ring     *jose.Ring    // verifies its signature; nil: a key set, which has none
	keep     string        // the file that keeps it; empty: none
	seal     func() []byte // the secret it is sealed with there; nil: it is not
	judged   string        // changes with what a document is judged by and where it is kept
	wiring   string        // changes with how it is fetched
	fetcher  *source.Remote
	kept     func() (text []byte, written time.Time, err error) // what an earlier run has kept; nil: nothing, or it is no longer wanted

	progress
}

// progress is what has come of fetching a document.
type progress struct {
	held      held
	tag       string        // of the last good document
	due       time.Duration // when it is to be fetched next, on the elapsed clock
	earlyFrom time.Duration // when a token's unknown kid may make it due before that
	busy      bool          // it is being fetched
	status    SourceStatus

	save     func() string // keeps the last good document for the next run; nil: it is kept, or is not to be
	saving   bool          // it is being written
	saved    string        // tells the document that save was made for last
	saveFail string        // what kept it from being kept; empty: nothing
}

// held is the last good document that holds keys.
type held struct {
	entry   entry                           // the keys in it
	remake  func(config.Key) (entry, error) // the entry for a changed key of the policy; nil: there is no document yet
	version int64                           // of a ring
}

// SourceStatus is what may be shown of a source of keys or control.
type SourceStatus struct {
	Name    string    // the field of the policy that names it, such as control.url or keys[1].jwks
	Tried   time.Time // the last attempt; zero: none yet
	Good    time.Time // the last successful attempt, or when what is in force was kept by an earlier run; zero: none
	Kept    bool      // what is in force was kept by an earlier run
	Failure string    // of the last attempt; empty: it succeeded, or there was none
	Tries   int64     // attempts since the source is known
	Fails   int64     // failed ones among them
}

// isControl reports whether r is the control document, which holds no keys.
func (r *remote) isControl() bool { return r.keyIndex < 0 }

// isRing reports whether r is a ring, which holds secrets.
func (r *remote) isRing() bool { return !r.isControl() && r.ring != nil }

// kind is what r is called wherever its URL does not matter.
func (r *remote) kind() string {
	switch {
	case r.isControl():
		return "control"
	case r.key.Ring != "":
		return "ring/" + r.key.Name
	}
	return "jwks/" + r.key.Name
}

// newRemotes are the remotes that a policy names, in its order, as far as it describes them.
func newRemotes(p *config.Policy) []*remote {
	var all []*remote
	if p.Control.URL != "" {
		all = append(all, &remote{field: "control.url", keyIndex: -1, interval: p.Control.Interval, url: p.Control.URL})
	}
	for i, k := range p.Keys {
		if k.Remote() == "" {
			continue
		}
		field := "jwks"
		if k.Ring != "" {
			field = "ring"
		}
		all = append(all, &remote{field: fmt.Sprintf("keys[%d].%s", i, field), key: k, keyIndex: i, interval: k.Refresh, url: k.Remote()})
	}
	return all
}

// readRemotes makes the remotes that a policy names and reads what they are fetched, verified and kept with. What
// is known of them from before is for equip.
func (g *Gate) readRemotes(p *config.Policy) ([]*remote, []config.Problem) {
	all := newRemotes(p)
	if len(all) == 0 {
		return nil, nil
	}
	signers, judged, problems := controlKeys(p.Control, g.o.Read)
	seal, found := g.sealer(p.Control)
	problems = append(problems, found...)
	judged += p.Name + "\x00" + p.Control.Cache + "\x00"
	if seal != nil {
		judged += digest(seal())
	}
	for _, r := range all {
		r.judged = digest([]byte(judged))
		if r.isControl() || r.key.Ring != "" {
			r.ring = signers
		}
		if r.isRing() {
			r.seal = seal
		}
		if p.Control.Cache != "" {
			r.keep = keptAt(p.Control.Cache, p.Name, r)
			r.kept = g.readKept(r)
		}
		if problem := g.readWiring(r, p.Control); problem.Text != "" {
			problems = append(problems, problem)
		}
	}
	return all, problems
}

// readWiring reads what a remote is fetched with. A problem without a text is none.
func (g *Gate) readWiring(r *remote, c config.ControlSources) config.Problem {
	ca, field, reference := c.CA, "control.ca", c.Token
	if r.key.JWKS != "" {
		ca = r.key.CA
		field = fmt.Sprintf("keys[%d].ca", r.keyIndex)
		reference = "" // a key set is public, and may be anyone's
	}
	var text []byte
	var authorities *x509.CertPool
	if ca != "" {
		var err error
		if text, _, err = g.o.Read("file:" + ca); err == nil {
			authorities, err = source.Authorities(text)
		}
		if err != nil {
			return config.Problem{Path: field, Text: err.Error()}
		}
	}
	var token func() (string, error)
	if reference != "" {
		token = func() (string, error) { return bearerToken(g.o.Read, reference) }
	}
	r.wiring = digest([]byte(fmt.Sprintf("%q %q", text, reference)))
	var err error
	if r.fetcher, err = source.NewRemote(r.url, authorities, token); err != nil {
		return config.Problem{Path: r.field, Text: err.Error()}
	}
	r.fetcher.JudgeBy(g.o.Now)
	return config.Problem{}
}

// equip gives remotes that were read what is known of them under an earlier policy. It changes nothing else: see
// adopt. mu is held.
func (g *Gate) equip(all []*remote) []config.Problem {
	var problems []config.Problem
	for _, r := range all {
		known := g.known(r.kind())
		if g.live.Load() == nil {
			known = g.o.Kin.known(r)
		}
		if err := r.remember(known, g.o.Elapsed()); err != nil {
			problems = append(problems, config.Problem{Path: r.field, Text: "what it brought last: " + err.Error()})
		}
		r.status.Name = r.field
	}
	return problems
}

// remember gives r what is known of it under an earlier policy; nil: nothing. Keys stay in force until a URL
// that has changed has brought others, so that no token is refused meanwhile.
func (r *remote) remember(known *remote, elapsed time.Duration) error {
	if known == nil {
		return nil
	}
	r.held = known.held
	if known.url == r.url {
		r.progress = known.progress
		if known.judged != r.judged {
			r.save = nil
			r.tag, r.saved, r.saveFail = "", "", "" // the server is to send the whole of it again
		}
		if known.wiring != r.wiring || known.judged != r.judged {
			r.due = 0
		} else if latest := elapsed + r.interval; r.due > latest && !r.busy {
			r.due = latest
		}
		if known.wiring == r.wiring {
			r.fetcher = known.fetcher // and the connection it keeps open
		}
	}
	if r.held.remake == nil || fmt.Sprintf("%#v", known.key) == fmt.Sprintf("%#v", r.key) {
		return nil
	}
	var err error
	r.held.entry, err = r.held.remake(r.key)
	return err
}

// known is the remote in force of a kind; nil: there is none.
func (g *Gate) known(kind string) *remote {
	for _, r := range g.remotes {
		if r.kind() == kind {
			return r
		}
	}
	return nil
}

// adopt puts remotes in the place of those before. One that goes on is changed where it stands, since it may be
// being fetched. mu is held.
func (g *Gate) adopt(next []*remote) {
	for _, known := range g.remotes {
		before, replaced := known.fetcher, true
		for i, r := range next {
			if r.kind() == known.kind() && r.url == known.url {
				*known = *r
				next[i] = known
				replaced = known.fetcher != before
			}
		}
		if replaced {
			before.Close()
		}
	}
	g.remotes = next
	g.schedule()
}

// Close ends the connections to sources that are kept open, and leaves the kin. The gate still answers, and Poll
// opens others.
func (g *Gate) Close() {
	g.o.Kin.leave(g)
	g.counters.forget(g.number)
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, r := range g.remotes {
		r.fetcher.Close()
	}
}

// bearerToken reads a bearer token, which may stand on a line of its own.
func bearerToken(read func(string) ([]byte, []string, error), reference string) (string, error) {
	text, _, err := read(reference)
	if err != nil {
		return "", errors.New("the bearer token: " + err.Error())
	}
	token := strings.TrimRight(string(text), "\r\n")
	if token == "" || !isFieldValue(token) || strings.IndexByte(token, ' ') >= 0 {
		return "", errors.New("the bearer token must be one word on one line; write it again")
	}
	return token, nil
}

// digest tells texts apart that must not be kept themselves. It is not their plain hash, because that of a
// secret is a key of its own: see config.Key.JWE.
func digest(text []byte) string {
	sum := sha256.Sum256(append([]byte("approovgate digest\n"), text...))
	return string(sum[:])
}
