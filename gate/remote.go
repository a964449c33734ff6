package gate

import (
	"context"
	"errors"
	"fmt"
	"math/rand"
	"strings"
	"sync"
	"sync/atomic"
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
	interval time.Duration
	ring     *jose.Ring    // verifies its signature; nil: a key set, which has none
	keep     string        // the file that keeps it; empty: none
	seal     func() []byte // the secret it is sealed with there; nil: it is not

	url      string
	identity string // changes with what is fetched: then what is known of it is worth nothing

	authorities []byte // PEM; nil: the system's
	wiring      string // changes with how it is fetched
	fetcher     *source.Remote
	kept        func() (text []byte, written time.Time, err error) // what keep held; nil: nothing

	tag       string                          // of the last good document
	entry     entry                           // what that holds, if it holds keys
	remake    func(config.Key) (entry, error) // the entry for a changed key of the policy; nil: there is no document yet
	version   int64                           // of the ring in entry
	due       time.Duration                   // when it is to be fetched next, on the elapsed clock
	earlyFrom time.Duration                   // when a token's unknown kid may make it due before that
	busy      bool                            // it is being fetched
	status    SourceStatus
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

const (
	controlSource = "control"
	neverDue      = time.Duration(1<<63 - 1)
)

// keySource names a key's remote in Gate.remotes.
func keySource(k config.Key) string { return "keys/" + k.Name }

// readRemotes makes the remotes that a policy names and reads what they are fetched, verified and kept with. What
// is known of them from before is for inherit.
func (g *Gate) readRemotes(p *config.Policy) (map[string]*remote, []config.Problem) {
	named := map[string]*remote{}
	if p.Control.URL != "" {
		named[controlSource] = &remote{field: "control.url", keyIndex: -1, interval: p.Control.Interval, url: p.Control.URL}
	}
	for i, k := range p.Keys {
		if k.Remote() == "" {
			continue
		}
		field := "jwks"
		if k.Ring != "" {
			field = "ring"
		}
		named[keySource(k)] = &remote{field: fmt.Sprintf("keys[%d].%s", i, field), key: k, keyIndex: i, interval: k.Refresh, url: k.Remote()}
	}
	if len(named) == 0 {
		return named, nil
	}
	ring, problems := controlKeys(p.Control, g.o.Read)
	seal, found := g.sealer(p.Control)
	problems = append(problems, found...)
	for name, r := range named {
		r.identity = r.key.Ring + " " + r.key.JWKS + " " + r.url
		ca := r.key.CA
		if r.key.JWKS == "" {
			r.ring, ca = ring, p.Control.CA
			if r.keyIndex >= 0 {
				r.seal = seal
			}
		}
		if ca != "" {
			var err error
			if r.authorities, _, err = g.o.Read("file:" + ca); err != nil {
				problems = append(problems, config.Problem{Path: r.field, Text: "its authorities: " + err.Error()})
			}
		}
		if p.Control.Cache != "" {
			r.keep = keptAt(p.Control.Cache, p.Name, name, r.identity)
			r.kept = r.readKept()
		}
	}
	return named, problems
}

// inherit gives r what is known of it from before, and what it is fetched with.
func (r *remote) inherit(known *remote, g *Gate, p *config.Policy) error {
	reference := p.Control.Token
	if r.ring == nil {
		reference = ""
	}
	r.wiring = fmt.Sprintf("%q %q", r.authorities, reference)
	if known != nil && known.identity == r.identity {
		r.tag, r.entry, r.remake, r.version = known.tag, known.entry, known.remake, known.version
		r.due, r.earlyFrom, r.status = known.due, known.earlyFrom, known.status
		if r.remake != nil && fmt.Sprintf("%#v", known.key) != fmt.Sprintf("%#v", r.key) {
			var err error
			if r.entry, err = r.remake(r.key); err != nil {
				return err
			}
		}
	}
	r.status.Name = r.field
	if known != nil && known.identity == r.identity && known.wiring == r.wiring {
		r.fetcher = known.fetcher
		return nil
	}
	var token func() (string, error)
	if reference != "" {
		token = func() (string, error) { return bearerToken(g.o.Read, reference) }
	}
	var err error
	r.due = 0
	r.fetcher, err = source.NewRemote(r.url, r.authorities, token)
	return err
}

// adopt puts remotes that arrange has made in the place of those before. One that goes on is changed where
// it stands, since it may be being fetched. mu is held.
func (g *Gate) adopt(named map[string]*remote) {
	for name, known := range g.remotes {
		next := named[name]
		if next == nil || next.fetcher != known.fetcher {
			known.fetcher.Close()
		}
		if next != nil && next.identity == known.identity {
			next.busy = known.busy
			*known = *next
			named[name] = known
		}
	}
	g.remotes = named
	g.schedule()
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

// Due reports whether Poll has something to do. It is cheap enough to be asked with every request.
func (g *Gate) Due() bool {
	now := int64(g.o.Elapsed())
	return now >= atomic.LoadInt64(&g.nextDue) ||
		atomic.LoadInt32(&g.unknownKid) != 0 && now >= atomic.LoadInt64(&g.nextEarly)
}

// PollNow makes every source due.
func (g *Gate) PollNow() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, r := range g.remotes {
		r.due = 0
	}
	g.schedule()
}

// schedule notes for Due when the next source is due. mu is held.
func (g *Gate) schedule() {
	next, early := neverDue, neverDue
	for _, r := range g.remotes {
		if r.busy {
			continue
		}
		if r.due < next {
			next = r.due
		}
		if r.keyIndex >= 0 && r.earlyFrom < early {
			early = r.earlyFrom
		}
	}
	if g.nextSample < next {
		next = g.nextSample
	}
	atomic.StoreInt64(&g.nextDue, int64(next))
	atomic.StoreInt64(&g.nextEarly, int64(early))
}

// Poll asks the sources whose time has come and takes what is new and good into force; what is not changes
// nothing and shows in Status. It returns when all of those it asked have answered or failed, which takes at
// most source.FetchTimeout. Sources that another call is asking already are left to it.
func (g *Gate) Poll(ctx context.Context) {
	var all sync.WaitGroup
	for _, r := range g.begin() {
		asked := r
		all.Add(1)
		go func() {
			defer all.Done()
			g.ask(ctx, asked)
		}()
	}
	all.Wait()
}

// begin marks the sources that are due as busy and returns them. It is also when time that has passed shows:
// overrides that have ended, and use of keys.
func (g *Gate) begin() []*remote {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.o.Elapsed()
	g.noticeEnds()
	g.sample(now)
	wanted := atomic.LoadInt32(&g.unknownKid) != 0
	var due []*remote
	for _, r := range g.remotes {
		early := wanted && r.keyIndex >= 0 && now >= r.earlyFrom
		if r.busy || now < r.due && !early {
			continue
		}
		if early {
			r.earlyFrom = now + r.interval
			atomic.StoreInt32(&g.unknownKid, 0)
		}
		r.busy = true
		due = append(due, r)
	}
	g.schedule()
	return due
}

// ask fetches one document and puts it into force.
func (g *Gate) ask(ctx context.Context, r *remote) {
	g.mu.Lock()
	tag, fetcher := r.tag, r.fetcher
	g.mu.Unlock()
	got, err := fetcher.Fetch(ctx, tag)
	save := g.answered(ctx, r, got, err)
	if save == nil {
		return
	}
	failure := save() // a disk that hangs must hold up nothing else
	g.mu.Lock()
	defer g.mu.Unlock()
	g.keepFailure = failure
}

// answered notes what came of a fetch. What it returns, if anything, keeps the document for the next run.
func (g *Gate) answered(ctx context.Context, r *remote, got source.Fetched, err error) (save func() string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	r.busy = false
	if !g.holds(r) {
		return nil // the policy has dropped it meanwhile
	}
	r.due = g.o.Elapsed() + jittered(r.interval)
	defer g.schedule()
	if err != nil && ctx.Err() != nil {
		return nil // the gate is being stopped, which says nothing of the source
	}
	now := g.o.Now()
	r.status.Tried = now
	r.status.Tries++
	if err == nil && !got.Unchanged {
		err = g.takeFetched(r, got.Text)
		if err == nil {
			r.tag = got.Tag
			save = r.saver(got.Text)
		}
	}
	if err != nil {
		r.status.Fails++
		if r.status.Failure != err.Error() {
			r.status.Failure = err.Error()
			g.tell(Event{Kind: SourceFailing, Source: r.field, Text: err.Error()})
		}
		return nil
	}
	if r.status.Failure != "" {
		g.tell(Event{Kind: SourceRecovered, Source: r.field})
	}
	r.status.Failure, r.status.Good, r.status.Kept = "", now, false
	return save
}

// holds reports whether r is still one of the gate's remotes.
func (g *Gate) holds(r *remote) bool {
	for _, one := range g.remotes {
		if one == r {
			return true
		}
	}
	return false
}

// jittered spreads the moments at which many gates ask, by a tenth to both sides.
func jittered(interval time.Duration) time.Duration {
	return interval + time.Duration((rand.Float64()-0.5)/5*float64(interval))
}

// takeFetched puts a fetched document into force if it is good. mu is held.
func (g *Gate) takeFetched(r *remote, text []byte) error {
	if r.keyIndex < 0 {
		return g.takeControl(r, string(text))
	}
	remake, version, err := r.read(text, g.name, g.o.Now())
	if err != nil {
		return err
	}
	next, err := remake(r.key)
	if err != nil {
		return err
	}
	if err := g.replaceEntry(r, next); err != nil {
		return err
	}
	r.entry, r.remake, r.version = next, remake, version
	return nil
}

// read verifies a document that holds keys. The keys stay in the function it returns, which makes an entry of
// them.
func (r *remote) read(text []byte, name string, now time.Time) (func(config.Key) (entry, error), int64, error) {
	if r.ring == nil {
		return func(k config.Key) (entry, error) { return readEntry(k, text) }, 0, nil
	}
	keys, err := OpenRing(string(text), r.ring, name, now)
	if err != nil {
		return nil, 0, err
	}
	if keys.Version < r.version {
		return nil, 0, fmt.Errorf("version: %d is lower than %d, which is in force", keys.Version, r.version)
	}
	return func(k config.Key) (entry, error) { return readRing(k, keys, text) }, keys.Version, nil
}

// takeControl puts a remote control document into force. The one in force may be seen again.
func (g *Gate) takeControl(r *remote, envelope string) error {
	c, err := OpenControl(envelope, r.ring, g.name, g.o.Now())
	if err != nil {
		return err
	}
	if c.Same(g.control[Remote]) {
		return nil
	}
	problems := g.setControl(Remote, c)
	if config.Failed(problems) {
		return errors.New(firstError(problems))
	}
	return nil
}
