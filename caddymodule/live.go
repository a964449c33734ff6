package caddymodule

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/caddyserver/caddy/v2"

	"github.com/approovgate/approovgate/config"
	"github.com/approovgate/approovgate/engine"
	"github.com/approovgate/approovgate/gate"
	"github.com/approovgate/approovgate/internal/host"
)

// Source says where the gate policy is. It is either written here or stands in a file of its own.
type Source struct {
	// The gate policy, with the keys that the sidecar's policy has (see the project's README). Secrets are
	// references: file:PATH, env:NAME, or Caddy's placeholders {file.PATH} and {env.NAME}, which mean the same; they
	// are read again when they change. In other values {env.NAME} and {file.PATH} are replaced when the configuration
	// is loaded.
	Policy map[string]any `json:"policy,omitempty"`

	// The path of a file, YAML or JSON, that holds the policy instead. It is read again when it changes. Relative
	// paths in it start at its folder.
	PolicyFile string `json:"policy_file,omitempty"`
}

// lives are the gates in use, by what their policy says: two handlers with one policy share a gate, and so do a
// configuration and the next one.
var lives = caddy.NewUsagePool()

// live is a gate and what keeps it at what its files and sources say.
type live struct {
	key     [sha256.Size]byte // in lives
	gate    *gate.Gate
	loader  *host.Loader
	station *station
	stop    func() // ends what runs for it; it returns when that has ended

	problems []config.Problem // of the last refresh; the keeper's own
}

// use is a handler's or matcher's use of a gate, in one configuration.
type use struct {
	*live
	events *emitter
}

// open takes up the gate of a policy, and makes it if there is none yet. An error names every problem.
func (s Source) open(ctx caddy.Context) (*use, error) {
	tree, err := resolve(s.Policy)
	if err != nil {
		return nil, err
	}
	if s.PolicyFile != "" && len(tree) > 0 {
		return nil, errors.New("policy_file stands for all other keys; move them into that file")
	}
	s.Policy = tree
	text, err := json.Marshal(s)
	if err != nil {
		return nil, err // a tree of texts has none
	}
	key := sha256.Sum256(text)
	value, _, err := lives.LoadOrNew(key, func() (caddy.Destructor, error) { return s.start(key) })
	if err != nil {
		return nil, err
	}
	u := &use{live: value.(*live)}
	if u.events, err = u.station.attach(ctx); err != nil {
		return nil, errors.Join(err, u.release())
	}
	return u, nil
}

// release gives the gate back; nil: there is none, because it could not be had.
func (u *use) release() error {
	if u == nil {
		return nil
	}
	u.station.detach(u.events)
	_, err := lives.Delete(u.key)
	return err
}

// document reads the policy.
func (s Source) document() (host.Document, []config.Problem) {
	tree, at, problems := s.Policy, host.Document{}, []config.Problem(nil)
	if s.PolicyFile != "" {
		at = host.Document{Prefix: s.PolicyFile + ": ", Dir: filepath.Dir(s.PolicyFile), Files: []string{s.PolicyFile}}
		tree, problems = host.ReadTree(s.PolicyFile)
	}
	if !config.Failed(problems) {
		var found []config.Problem
		at.Policy, found = config.Decode(tree)
		problems = append(problems, found...)
	}
	for i := range problems {
		problems[i].Path = strings.TrimRight(at.Prefix+problems[i].Path, ".: ")
	}
	return at, problems
}

// start makes a gate and what keeps it.
func (s Source) start(key [sha256.Size]byte) (*live, error) {
	document, _ := s.document() // its problems are found again
	l := &live{key: key, loader: &host.Loader{Read: s.document}, station: stationOf(document.Policy.Name)}
	var problems []config.Problem
	l.gate, problems = l.loader.New(gate.Options{
		Now: now, Notify: l.station.notify, ParseControl: host.ParseTree, Kin: &l.station.kin,
		NewCache: func() engine.Cache { return host.NewCache() },
	})
	log := l.station.log
	for _, problem := range problems {
		if problem.Warning {
			logProblem(log, problem)
		}
	}
	if config.Failed(problems) {
		return nil, problemsError(problems)
	}
	l.problems = problems
	l.station.enter()
	ctx, cancel := context.WithCancel(context.Background())
	keeper := &host.Keeper{Gate: l.gate, Refresh: l.refresh, Files: l.loader.Files, Log: log, Now: now}
	if l.gate.Awaits() {
		keeper.First(ctx)
	}
	var running sync.WaitGroup
	running.Go(func() { keeper.Run(ctx) })
	l.stop = func() {
		cancel()
		running.Wait()
	}
	return l, nil
}

// Destruct ends the gate when nobody uses it any more.
func (l *live) Destruct() error {
	l.stop()
	l.gate.Close()
	l.station.leave()
	return nil
}

// refresh reads policy and keys again. What came of it is logged when anything is new.
func (l *live) refresh(ctx context.Context, _ bool) {
	before := l.gate.Status().Generation
	problems := l.loader.Refresh(l.gate)
	changed := l.gate.Status().Generation != before
	if !changed && slices.Equal(problems, l.problems) {
		return
	}
	l.problems = problems
	for _, problem := range problems {
		logProblem(l.station.log, problem)
	}
	failed := config.Failed(problems)
	l.station.reloads.Reloaded(!failed)
	if failed {
		l.station.log.LogAttrs(ctx, slog.LevelError, "reload failed; the last good policy and keys stay in force")
		return
	}
	l.station.log.LogAttrs(ctx, slog.LevelInfo, "reloaded", slog.Bool("changed", changed))
}

func logProblem(log *slog.Logger, problem config.Problem) {
	level := slog.LevelError
	if problem.Warning {
		level = slog.LevelWarn
	}
	log.LogAttrs(context.Background(), level, "configuration problem", slog.String("at", problem.Path), slog.String("problem", problem.Text))
}

// problemsError is one error for all problems that keep a policy from being used.
func problemsError(problems []config.Problem) error {
	var all []string
	for _, problem := range problems {
		if !problem.Warning {
			all = append(all, problem.String())
		}
	}
	return fmt.Errorf("the gate policy cannot be used: %s", strings.Join(all, "; "))
}
