package mobile

import (
	"context"
	"fmt"

	"github.com/approovgate/approovgate/measure"
	"github.com/approovgate/approovgate/measure/ipa"
)

// measureIPA measures an iOS package. Its digest is that of the code, which the store does not change; see package ipa.
func measureIPA(ctx context.Context, s source, o Options) (App, error) {
	read, err := ipa.Archive(ctx, s.archive)
	if err != nil {
		return App{}, err
	}
	r := newReading(s, o)
	if err := r.run(ctx, nil); err != nil {
		return App{}, err
	}
	app := App{App: measure.App{Digest: read.Digest, Size: s.size, Build: measure.Build{Package: read.Package, Version: fmt.Sprintf("%s[%s]", read.Version, read.Build)}},
		Platform: IOS, Team: read.Team, Debuggable: read.Debuggable, Warnings: append(read.Warnings, r.warnings...)}
	app.Libraries, app.Configs = r.found()
	return app, nil
}
