package attestd

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"time"

	"github.com/approovgate/approovgate/attestserver/account"
	"github.com/approovgate/approovgate/attestserver/seal"
	"github.com/approovgate/approovgate/attestserver/store"
	"github.com/approovgate/approovgate/attestserver/store/postgres"
	"github.com/approovgate/approovgate/attestserver/store/sqlite"
	"github.com/approovgate/approovgate/source"
)

// The files of the data folder, beside the database.
const (
	sealingKey = "sealing.key"
	adminToken = "admin.tok"
	devToken   = "dev.tok"
	toldFile   = "pins-told.json" // what the webhook was told
)

// open opens the database that the flags name. With create, a database and a sealing key that are missing are made.
func (o options) open(ctx context.Context, create bool, c *console) (store.Store, error) {
	if !create && o.db == "" && !sqlite.Exists(o.data) {
		return nil, fmt.Errorf("--data: there is no database in %s; name the folder that attestserver serves from", o.data)
	}
	if err := os.MkdirAll(o.data, 0o700); err != nil {
		return nil, err
	}
	path := filepath.Join(o.data, sealingKey)
	if create && o.key == "file:"+path {
		made, err := seal.MakeKeyFile(path, rand.Reader)
		if err != nil {
			return nil, err
		}
		if made {
			c.say("sealing key made: %s; without it the secrets in the database cannot be read, so keep a copy elsewhere", path)
		}
	}
	key, err := o.readKey(o.key, c)
	if err != nil {
		return nil, err
	}
	if o.db != "" {
		return postgres.Open(ctx, o.db, seal.New(key))
	}
	return sqlite.Open(ctx, o.data, seal.New(key))
}

func (o options) readKey(reference string, c *console) (seal.Key, error) {
	key, warnings, err := seal.ReadKey(reference)
	for _, warning := range warnings {
		c.log.Warn("sealing key: " + warning)
	}
	return key, err
}

// network is what the accounts' apps are to be told.
func (s *service) network() account.Network {
	if s.o.networkGiven {
		return s.o.network
	}
	scheme := "http"
	if s.o.cert != "" {
		scheme = "https"
	}
	return account.Network{Primary: []string{scheme + "://" + s.main.Addr().String()}}
}

// prepareAccounts makes the first account, or tells those there are how apps reach the service now.
func (s *service) prepareAccounts(ctx context.Context) error {
	all, _, err := s.store.Accounts(ctx)
	if err != nil {
		return err
	}
	if len(all) == 0 {
		return s.o.create(ctx, s.store, s.network(), s.c)
	}
	network := s.network()
	for _, a := range all {
		if a.Name == s.o.account {
			if err := s.o.recoverTokens(a); err != nil {
				return err
			}
		}
		if reflect.DeepEqual(a.Network, network) {
			continue
		}
		if _, err := s.store.Change(ctx, a.Name, func(a *account.Account) error {
			a.SetNetwork(time.Now(), network)
			return nil
		}); err != nil {
			return err
		}
	}
	return nil
}

// create makes an account and writes its management tokens. These are written first: an account whose tokens nobody
// has would be of no use.
func (o options) create(ctx context.Context, st store.Store, network account.Network, c *console) error {
	var secret []byte
	if o.secret != "" {
		text, warnings, err := source.Read(o.secret)
		if err == nil {
			secret, err = source.DecodeSecret(text, "base64")
		}
		if err != nil {
			return fmt.Errorf("--secret: %w", err)
		}
		for _, warning := range warnings {
			c.log.Warn("--secret: " + warning)
		}
	}
	a, tokens, err := account.New(o.account, nil, time.Now(), network)
	if secret != nil {
		a, tokens, err = account.NewWithSecret(o.account, nil, time.Now(), network, secret)
	}
	if err != nil {
		return err
	}
	files := map[string]string{o.tokenFile(adminToken): tokens.Admin(), o.tokenFile(devToken): tokens.Dev()}
	for path, text := range files {
		if err := os.WriteFile(path+unconfirmed, []byte(text+"\n"), 0o600); err != nil {
			return err
		}
	}
	if err := st.Create(ctx, a); errors.Is(err, store.ErrExists) {
		return errors.Join(fmt.Errorf("there is an account %q already", o.account), os.Remove(o.tokenFile(adminToken)+unconfirmed), os.Remove(o.tokenFile(devToken)+unconfirmed))
	} else if err != nil {
		return err
	}
	if err := o.confirmTokens(); err != nil {
		return err
	}
	c.say("account %q made; its management tokens are in %s and %s", o.account, o.tokenFile(adminToken), o.tokenFile(devToken))
	return nil
}

// unconfirmed ends the name of a token file whose account may not have been written.
const unconfirmed = ".new"

// confirmTokens gives the files of new management tokens their names: the account is there.
func (o options) confirmTokens() error {
	for _, name := range []string{adminToken, devToken} {
		if err := os.Rename(o.tokenFile(name)+unconfirmed, o.tokenFile(name)); err != nil {
			return err
		}
	}
	return nil
}

// recoverTokens confirms the files of an account whose maker ended between writing it and naming them.
func (o options) recoverTokens(a *account.Account) error {
	for _, name := range []string{adminToken, devToken} {
		path := o.tokenFile(name) + unconfirmed
		text, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		} else if err != nil {
			return err
		}
		settle := func() error { return os.Rename(path, o.tokenFile(name)) }
		if _, err := a.Verify(strings.TrimSpace(string(text)), time.Now()); err != nil {
			settle = func() error { return os.Remove(path) } // of an account that was never written
		}
		if err := settle(); err != nil {
			return err
		}
	}
	return nil
}

// tokenFile is where a management token of a new account is written.
func (o options) tokenFile(name string) string {
	if o.account != "demo" {
		name = o.account + "-" + name
	}
	return filepath.Join(o.data, name)
}

// add is the command add.
func add(ctx context.Context, o options, c *console) error {
	st, err := o.open(ctx, false, c)
	if err != nil {
		return err
	}
	all, _, err := st.Accounts(ctx)
	if err == nil && len(all) == 0 {
		err = errors.New("there is no account yet; attestserver run makes the first one")
	}
	if err == nil {
		err = o.create(ctx, st, all[0].Network, c)
	}
	return errors.Join(err, st.Close())
}
