package suite_test

import (
	"testing"

	"github.com/approovgate/approovgate/internal/liveask"
	"github.com/approovgate/approovgate/internal/liveask/suite"
)

func TestLiveControlCompiled(t *testing.T) {
	for _, s := range suite.Scenarios() {
		t.Run(s.Name, func(t *testing.T) {
			if !s.Alone {
				t.Parallel()
			}
			s.Play(t, suite.Driver{Do: liveask.Do, Handler: liveask.Handler, Decode: liveask.Decode})
		})
	}
}
