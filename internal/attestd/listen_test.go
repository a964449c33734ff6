//go:build !windows

package attestd

import (
	"context"
	"log/slog"
	"strings"
	"testing"
)

// On Windows the error has another number, and is told as the system tells it.
func TestAnAddressThatIsTaken(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	first, err := listen(context.Background(), "127.0.0.1:0", nil, log)
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	second, err := listen(context.Background(), first.Addr().String(), nil, log)
	if err == nil {
		second.Close()
	}
	if err == nil || !strings.HasSuffix(err.Error(), "end it, or name another address") {
		t.Errorf("got error %v, want one that says what to do", err)
	}
}
