//go:build linux && !android

package measure

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
)

// Self measures the running program. On Linux that is what runs, even when its file has been replaced or deleted
// since it was started (proc(5), /proc/pid/exe); elsewhere it is the file it was started from.
func Self(ctx context.Context) (App, error) {
	file, err := os.Open("/proc/self/exe")
	if err != nil {
		return App{}, fmt.Errorf("measure: the running program cannot be read, is /proc there? %w", err)
	}
	defer func() { _ = file.Close() }() // only read
	app, _, err := open(ctx, file, "", &sum{Hash: sha256.New()})
	if err != nil {
		return App{}, fmt.Errorf("measure the running program: %w", err)
	}
	return app, nil
}
