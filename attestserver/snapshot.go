package attestserver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/approovgate/approovgate/attestserver/account"
	"github.com/approovgate/approovgate/attestserver/issue"
	"github.com/approovgate/approovgate/attestserver/store"
)

// The rhythm of Run. A change reaches every server within the manual's 30 s ("Managing Registrations") with a wide
// margin, also when the store's notifications are lost.
const (
	pollEvery  = 2 * time.Second
	pruneEvery = time.Minute
	storeTime  = 10 * time.Second // that reading or pruning may take
)

// snapshot is all accounts at a moment. It is immutable.
type snapshot struct {
	generation int64
	read       time.Time
	accounts   map[string]*compiled
}

// compiled is an account in the form that answering needs. It is immutable but for what it remembers of nonces.
type compiled struct {
	account     *account.Account
	issuer      *issue.Issuer
	fingerprint string // of the public key in the account's SDK configurations
	config      string // the SDK configuration
	devices     map[string]device
	apps        []app // every registration: see compiled.registered
	counted     map[counted]bool
	libraries   map[string][]byte
	decoy       []byte // the key of libraries that are not there
	nonces      *sealer
	messages    messages
}

// device is a device with a policy or pin mode of its own.
type device struct {
	policy    account.Policy // the account's, if the device has none
	ownPolicy bool           // it has
	config    string         // its own SDK configuration; empty: the account's
}

// app is a registered app.
type app struct {
	digest                     [32]byte
	name, version, libraryName string
	expires                    time.Time
}

// compile prepares an account.
func compile(a *account.Account, now time.Time) (*compiled, error) {
	c := &compiled{account: a, devices: map[string]device{}, libraries: map[string][]byte{}}
	var err error
	if c.issuer, err = issue.NewIssuer(a, now); err != nil {
		return nil, err
	}
	if c.fingerprint, err = issue.KeyFingerprint(a); err != nil {
		return nil, err
	}
	if c.config, err = issue.Config(a, now); err != nil {
		return nil, err
	}
	for _, k := range a.Keys {
		switch k.Purpose {
		case account.NonceKey:
			c.nonces = newSealer(k.Material.Bytes(), a.Name)
		case account.DecoyKey:
			c.decoy = derive(k.Material.Bytes(), "attest/v1 library that is not there", 16)
		}
	}
	c.messages = newMessages(a)
	if c.nonces == nil {
		return nil, errors.New("there is no nonce key")
	}
	for _, d := range a.Devices {
		one := device{policy: d.Policy, ownPolicy: d.Policy != (account.Policy{})}
		if !one.ownPolicy {
			one.policy = a.Policy
		}
		if d.PinMode != "" && d.PinMode != account.PinNormal {
			if one.config, err = issue.DeviceConfig(a, d, now); err != nil {
				return nil, err
			}
		}
		c.devices[d.ID] = one
	}
	for _, r := range a.Registrations {
		c.apps = append(c.apps, app{r.Digest, r.Package, r.Version, r.Library, r.Expires})
	}
	c.counted = countedOf(a)
	for _, l := range a.Libraries {
		c.libraries[l.ID] = l.Key.Bytes()
	}
	return c, nil
}

// Run keeps the snapshot fresh until ctx ends: it reads the accounts when the store says that one has changed, and
// when its generation has. It also has the store keep failed attestations, and forget these and nonces in time.
func (s *Server) Run(ctx context.Context) {
	var keeping sync.WaitGroup
	keeping.Go(func() {
		s.failures.run(ctx)
		s.keepLast(context.WithoutCancel(ctx))
	})
	defer keeping.Wait()
	poll, prune := time.NewTicker(pollEvery), time.NewTicker(pruneEvery)
	defer poll.Stop()
	defer prune.Stop()
	changed := s.o.Store.Changed()
	s.poll(ctx, true)
	for {
		select {
		case <-ctx.Done():
			return
		case _, open := <-changed:
			if !open {
				changed = nil // the store is closed, or cannot tell
				continue
			}
			s.poll(ctx, true)
		case <-poll.C:
			s.poll(ctx, false)
			s.tellSkipped()
		case <-prune.C:
			s.prune(ctx)
		}
	}
}

// prune has the store forget nonces whose time has passed, which it does in bounded steps.
func (s *Server) prune(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, storeTime)
	defer cancel()
	for {
		n, err := s.o.Store.Prune(ctx, s.o.Now())
		if err != nil {
			s.log.Error("used nonces could not be forgotten", slog.Any("error", err))
		}
		if err != nil || n < store.PruneBound || ctx.Err() != nil {
			return
		}
	}
}

// poll reads the accounts if they have changed, or if it is told to.
func (s *Server) poll(ctx context.Context, certainly bool) {
	bounded, cancel := context.WithTimeout(ctx, storeTime)
	defer cancel()
	generation, err := s.o.Store.Generation(bounded)
	snap := s.snapshot.Load()
	switch {
	case err != nil:
		s.contacted(fmt.Errorf("the store does not answer: %w", err))
	case snap == nil || certainly || snap.generation != generation:
		err = s.Refresh(bounded)
	default:
		s.contacted(nil)
	}
	if err != nil && ctx.Err() == nil {
		s.metrics.refreshFailed.Inc()
		if s.noAccounts.due(s.o.Now()) {
			s.log.Error("the accounts could not be read; what was read before stays in force", slog.Any("error", err))
		}
	}
}

// Refresh reads all accounts now. What it returns is about single accounts if there are new ones in force all the
// same: an account that cannot be used as it is stays as it was.
func (s *Server) Refresh(ctx context.Context) error {
	s.refreshing.Lock()
	defer s.refreshing.Unlock()
	accounts, generation, err := s.o.Store.Accounts(ctx)
	if err != nil {
		err = fmt.Errorf("the store does not answer: %w", err)
		s.contacted(err)
		return err
	}
	s.contacted(nil)
	now := s.o.Now()
	next := &snapshot{generation: generation, read: now, accounts: make(map[string]*compiled, len(accounts))}
	var failures []error
	for _, a := range accounts {
		before := s.find(a.Name)
		if before != nil && before.account.Version == a.Version && before.account.Created.Equal(a.Created) {
			next.accounts[a.Name] = before
			continue
		}
		one, err := compile(a, now)
		if err != nil {
			failures = append(failures, fmt.Errorf("account %s: %w", a.Name, err))
			one = before
		}
		if one != nil {
			next.accounts[a.Name] = one
		}
	}
	last := s.snapshot.Swap(next)
	for name, c := range next.accounts {
		if last != nil && last.accounts[name] != c {
			s.metrics.forget(last.accounts[name], c)
		}
	}
	return errors.Join(failures...)
}
