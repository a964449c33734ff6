package measure

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/approovgate/approovgate/attestapi"
)

// MaxConfigs is how many SDK configurations are looked for in an app.
const MaxConfigs = 16

// Search looks for what the SDK has an app embed: SDK libraries, and SDK configurations. It is used again for each
// file of an app, by one goroutine at a time.
type Search struct {
	Mark string // how an SDK configuration's text begins; "": none is looked for

	Libraries []attestapi.Library // in the order found, each once
	Configs   []string            // likewise, at most MaxConfigs: more are passed over
	buffer    []byte
}

// Read searches what a reader brings, up to its end.
func (s *Search) Read(ctx context.Context, r io.Reader) error {
	if s.buffer == nil {
		s.buffer = make([]byte, 2*attestapi.MaxConfig) // twice the longest that is looked for
	}
	held := 0
	for {
		n, err := io.ReadFull(r, s.buffer[held:])
		last := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
		if err != nil && !last {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		part := s.buffer[:held+n]
		found, keep := attestapi.FindLibraries(part)
		if s.Libraries = merge(s.Libraries, found); len(s.Libraries) > MaxLibraries {
			return fmt.Errorf("it holds more than %d SDK libraries", MaxLibraries)
		}
		if s.Mark != "" && len(s.Configs) < MaxConfigs {
			keep = max(keep, searchTexts(part, s.Mark, attestapi.MaxConfig, last, s.addConfig))
		}
		if last {
			return nil
		}
		held = copy(s.buffer, part[len(part)-keep:])
	}
}

// Add adds what another search has found.
func (s *Search) Add(other *Search) error {
	if s.Libraries = merge(s.Libraries, other.Libraries); len(s.Libraries) > MaxLibraries {
		return fmt.Errorf("it holds more than %d SDK libraries", MaxLibraries)
	}
	for _, text := range other.Configs {
		s.addConfig([]byte(text))
	}
	return nil
}

// addConfig copies a text only if it is kept: in a hostile file there is one in every few bytes.
func (s *Search) addConfig(text []byte) {
	known := slices.ContainsFunc(s.Configs, func(other string) bool { return other == string(text) })
	if len(s.Configs) < MaxConfigs && !known {
		s.Configs = append(s.Configs, string(text))
	}
}
