package measure_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/approovgate/approovgate/attestapi"
	"github.com/approovgate/approovgate/measure"
)

func TestSearch(t *testing.T) {
	const part = 2 * attestapi.MaxConfig // bytes that are searched at once
	config := testMark + strings.Repeat("A", attestapi.MaxConfig-len(testMark))
	var many strings.Builder
	for i := range 40 {
		fmt.Fprintf(&many, "%s%d\n", testMark, i)
	}
	for _, row := range []struct {
		name      string
		files     []string
		libraries string
		configs   []int // the lengths of texts
	}{
		{"nothing", []string{"", "x"}, "[]", nil},
		{"one of each", []string{text("1041") + testMark + "abc"}, "[1.0.0(1041)]", []int{11}},
		{"in two files", []string{text("1041"), testMark + "abc", text("1042")}, "[1.0.0(1041) 1.0.0(1042)]", []int{11}},
		{"the same in two files", []string{text("1041") + testMark + "abc ", testMark + "abc\n" + text("1041")}, "[1.0.0(1041)]", []int{11}},
		{"across the end of a part", []string{strings.Repeat("\x00", part-4) + testMark + "abc\x00", strings.Repeat("\x00", part-30) + text("1041")}, "[1.0.0(1041)]", []int{11}},
		{"not across the end of a file", []string{testMark[:4], testMark[4:] + "abc", text("1041")[:30], text("1041")[30:]}, "[]", nil},
		{"the longest configuration, across the end of a part", []string{strings.Repeat("\x00", part-attestapi.MaxConfig/2) + config + "\x00" + text("1041")}, "[1.0.0(1041)]", []int{attestapi.MaxConfig}},
		{"a configuration that is too long", []string{config + "A "}, "[]", nil},
		{"more configurations than are looked at", []string{many.String(), text("1041")}, "[1.0.0(1041)]", []int{9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 10, 10, 10, 10, 10, 10}},
	} {
		s := measure.Search{Mark: testMark}
		for _, file := range row.files {
			if err := s.Read(t.Context(), iotest.HalfReader(strings.NewReader(file))); err != nil {
				t.Fatalf("%s: %v", row.name, err)
			}
		}
		var lengths []int
		for _, text := range s.Configs {
			lengths = append(lengths, len(text))
		}
		if got := fmt.Sprint(s.Libraries); got != row.libraries || !slices.Equal(lengths, row.configs) {
			t.Errorf("%s: got %s and configurations of %v bytes, want %s and %v", row.name, got, lengths, row.libraries, row.configs)
		}
	}
}

func TestSearchRefuses(t *testing.T) {
	var many strings.Builder
	for i := range 40 {
		many.WriteString(text(fmt.Sprint(1000 + i)))
	}
	var s, other measure.Search
	if err := s.Read(t.Context(), strings.NewReader(many.String())); err == nil || !strings.Contains(err.Error(), "SDK libraries") {
		t.Errorf("40 libraries: got %v, want them refused", err)
	}
	if err := other.Add(&s); err == nil || !strings.Contains(err.Error(), "SDK libraries") {
		t.Errorf("40 libraries of another search: got %v, want them refused", err)
	}
	broken := errors.New("broken disk")
	if err := s.Read(t.Context(), iotest.ErrReader(broken)); !errors.Is(err, broken) {
		t.Errorf("a disk that breaks: got %v, want %v", err, broken)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Read(ended, zeros{}); !errors.Is(err, context.Canceled) {
		t.Errorf("an ended context: got %v, want %v", err, context.Canceled)
	}
}

// TestSearchOfAHostileFile searches 32 MB of beginnings of configurations, all in one run of letters.
func TestSearchOfAHostileFile(t *testing.T) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	s := measure.Search{Mark: testMark}
	if err := s.Read(t.Context(), io.LimitReader(repeated{testMark}, 32<<20)); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; got > 8<<20 || len(s.Configs) > measure.MaxConfigs {
		t.Errorf("got %d configurations and %d bytes allocated, want at most 8 MB", len(s.Configs), got)
	}
}

// repeated reads a text again and again.
type repeated struct{ text string }

func (r repeated) Read(p []byte) (int, error) {
	n := 0
	for n+len(r.text) <= len(p) {
		n += copy(p[n:], r.text)
	}
	return max(n, copy(p[n:], r.text[:min(len(r.text), len(p)-n)])), nil
}
