package sdk

import (
	"testing"

	"go.uber.org/goleak"
)

// TestMain sees that nothing is left running: tests under synctest see to it themselves, and this to the others.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
