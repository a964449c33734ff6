package measure_test

import (
	"bytes"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/approovgate/approovgate/measure"
)

const (
	testMark    = "ZXlKaGJH"
	testLongest = 40 // bytes of a text
)

// findTexts are what FindTexts finds.
func findTexts(t *testing.T, content string) []string {
	t.Helper()
	var all []string
	if err := measure.FindTexts(strings.NewReader(content), testMark, testLongest, func(text string) { all = append(all, text) }); err != nil {
		t.Fatal(err)
	}
	return all
}

func TestFindTexts(t *testing.T) {
	filler := strings.Repeat("\x00", 2*testLongest-4)
	long := testMark + strings.Repeat("A", testLongest-len(testMark))
	for _, row := range []struct {
		name, content string
		want          []string
	}{
		{"an empty app", "", nil},
		{"an app without one", filler + filler, nil},
		{"the whole app", testMark + "abc=", []string{testMark + "abc="}},
		{"between other bytes", "\x00" + testMark + "abc\n\x00", []string{testMark + "abc"}},
		{"at the very end", filler + testMark + "abc", []string{testMark + "abc"}},
		{"across the end of a part", filler + testMark + "abc!" + filler, []string{testMark + "abc"}},
		{"two of them", testMark + "a " + filler + testMark + "b ", []string{testMark + "a", testMark + "b"}},
		{"as long as one may be", "\x00" + long + "\x00", []string{long}},
		{"as long as one may be, in a later part", filler + long + "\x00" + filler, []string{long}},
		{"longer than one may be", long + "A\x00" + testMark + "\x00", []string{testMark}},
		{"an end without a text", "\x00" + testMark[:4], nil},
	} {
		if got := findTexts(t, row.content); !slices.Equal(got, row.want) {
			t.Errorf("%s: got %.100q (%d), want %.100q (%d)", row.name, got, len(got), row.want, len(row.want))
		}
	}
	if err := measure.FindTexts(iotest.ErrReader(bytes.ErrTooLarge), testMark, testLongest, nil); err == nil {
		t.Error("an app that cannot be read: got no error, want one")
	}
}

// FuzzFindTexts compares with a regular expression over the whole.
func FuzzFindTexts(f *testing.F) {
	f.Add("x"+testMark+"abc=\n", 3)
	f.Add(testMark+"a "+testMark, 70)
	f.Add(testMark+testMark+"\xff", 10)
	form := regexp.MustCompile(testMark + `[A-Za-z0-9+/=]*`)
	f.Fuzz(func(t *testing.T, content string, before int) {
		if before < 0 || before > 1000 {
			return
		}
		content = strings.Repeat("\x00", before) + content
		var want []string
		for rest := content; ; {
			at := form.FindStringIndex(rest)
			if at == nil {
				break
			}
			if at[1]-at[0] <= testLongest {
				want = append(want, rest[at[0]:at[1]])
			}
			rest = rest[at[0]+len(testMark):] // one may stand inside another
		}
		if got := findTexts(t, content); !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}
