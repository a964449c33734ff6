//go:build !linux && !ios

package measure

import (
	"context"
	"fmt"
	"os"
)

// Self measures the running program: the file it was started from. When that has been replaced since, the measure
// is the new file's.
func Self(ctx context.Context) (App, error) {
	path, err := os.Executable()
	if err != nil {
		return App{}, fmt.Errorf("measure: the running program cannot be found: %w", err)
	}
	return File(ctx, path)
}
