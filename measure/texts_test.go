package measure_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/approovgate/approovgate/measure"
)

const testMark = "ZXlKaGJH"

// FuzzSearchOfTexts compares with a regular expression over the whole.
func FuzzSearchOfTexts(f *testing.F) {
	f.Add("x"+testMark+"abc=\n", 3)
	f.Add(testMark+"a "+testMark, 256<<10-12)
	f.Add(testMark+testMark+"\xff", 128<<10)
	form := regexp.MustCompile(testMark + `[A-Za-z0-9+/=]*`)
	f.Fuzz(func(t *testing.T, content string, before int) {
		if before < 0 || before > 300<<10 {
			return
		}
		content = strings.Repeat("\x00", before) + content
		var want []string
		for rest := content; len(want) < measure.MaxConfigs; {
			at := form.FindStringIndex(rest)
			if at == nil {
				break
			}
			if text := rest[at[0]:at[1]]; !slices.Contains(want, text) {
				want = append(want, text)
			}
			rest = rest[at[0]+len(testMark):] // one may stand inside another
		}
		s := measure.Search{Mark: testMark}
		if err := s.Read(t.Context(), strings.NewReader(content)); err != nil || !slices.Equal(s.Configs, want) {
			t.Errorf("got %.500q, %v, want %.500q", s.Configs, err, want)
		}
	})
}
