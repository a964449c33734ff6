package proxy

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/approovgate/approovgate/config"
	"github.com/approovgate/approovgate/internal/host"
)

// newKeeper is what keeps the gate at what its files and sources say.
func (p *Proxy) newKeeper() *host.Keeper {
	k := &host.Keeper{Gate: p.gate, Refresh: p.reload, Files: p.files, Reload: p.Reload, Log: p.Log, Now: p.Now}
	if p.unwatched {
		k.Files = nil
	}
	return k
}

// files are those that reload reads.
func (p *Proxy) files() []string {
	files := p.loader.Files()
	if p.certificate != nil {
		files = append(files, p.certificate.cert, p.certificate.key)
	}
	if p.upstream != nil {
		files = append(files, named(p.upstream.config.TLS.CA, p.upstream.config.TLS.Cert, p.upstream.config.TLS.Key)...)
	}
	return files
}

// named are the paths that are not empty.
func named(paths ...string) []string {
	return slices.DeleteFunc(paths, func(path string) bool { return path == "" })
}

// refreshCertificates reads the files of certificates again. It reports problems, with complete paths, and
// whether a new certificate is in force.
func (p *Proxy) refreshCertificates() (problems []config.Problem, changed bool) {
	now := time.Now
	if p.Now != nil {
		now = p.Now
	}
	if p.certificate != nil {
		problems, changed = p.certificate.refresh("tls", now())
	}
	if p.upstream != nil {
		found, replaced := p.upstream.refresh(now())
		problems, changed = append(problems, found...), changed || replaced
	}
	if p.File != "" {
		problems = inFile(p.File, problems)
	}
	return problems, changed
}

// reload reads policy, keys and certificates again. When that fails the last good ones stay in force. What came of it
// is logged and counted when anything is new, or when somebody asked: a file that stays broken is
// reported once, not every few seconds.
func (p *Proxy) reload(ctx context.Context, asked bool) {
	before := p.gate.Status().Generation
	problems := p.loader.Refresh(p.gate)
	found, replaced := p.refreshCertificates()
	problems = append(problems, found...)
	changed := replaced || p.gate.Status().Generation != before
	if !asked && !changed && slices.Equal(problems, p.problems) {
		return
	}
	p.problems = problems
	p.logProblems(ctx, problems)
	failed := config.Failed(problems)
	p.metrics.Reloaded(!failed)
	if failed {
		p.Log.LogAttrs(ctx, slog.LevelError, "reload failed; the last good policy and keys stay in force")
		return
	}
	routes, keys := p.Size()
	p.Log.LogAttrs(ctx, slog.LevelInfo, "reloaded", slog.Int("routes", routes), slog.Int("keys", keys), slog.Bool("changed", changed))
}

// logProblems writes one line for each problem.
func (p *Proxy) logProblems(ctx context.Context, problems []config.Problem) {
	for _, problem := range problems {
		level := slog.LevelError
		if problem.Warning {
			level = slog.LevelWarn
		}
		p.Log.LogAttrs(ctx, level, "configuration problem", slog.String("at", problem.Path), slog.String("problem", problem.Text))
	}
}
