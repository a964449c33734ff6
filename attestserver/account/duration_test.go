package account_test

import (
	"math/big"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/approovgate/approovgate/attestapi"
	"github.com/approovgate/approovgate/attestserver/account"
)

func TestDurations(t *testing.T) {
	const year = 365 * days
	for text, want := range map[string]time.Duration{
		"3d12h": 84 * time.Hour, "90d": 90 * days, "1d": days, "7d": 7 * days, "1y2d3h4m5s": year + 2*days + 3*time.Hour + 4*time.Minute + 5*time.Second,
		"0s": 0, "0y0s": 0, "007d": 7 * days, "100y": 100 * year, "36500d": 100 * year, "1y1s": year + time.Second, "3153600000s": 100 * year,
	} {
		if got, err := account.ParseDuration(text); err != nil || got != want {
			t.Errorf("%q: got %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "d", "3", "3d12", "12h3d", "3d3d", "3D", "3 d", "3d ", " 3d", "-3d", "+3d", "3.5d", "3w", "3ms", "3d,", "٣d", "1h1h", "s5", "1d\n", "1\x00d"} {
		_, err := account.ParseDuration(text)
		refused(t, err, attestapi.CodeInvalid, "is not a duration")
	}
	for _, text := range []string{"101y", "100y1s", "36501d", "99999999999999999999999d", "1y" + strings.Repeat("9", 100) + "s", "99y366d"} {
		_, err := account.ParseDuration(text)
		refused(t, err, attestapi.CodeInvalid, "longer than 100 years")
	}
}

// slowDuration is ParseDuration by a regular expression and numbers of any size.
func slowDuration(text string) (time.Duration, bool) {
	match := regexp.MustCompile(`\A(?:([0-9]+)y)?(?:([0-9]+)d)?(?:([0-9]+)h)?(?:([0-9]+)m)?(?:([0-9]+)s)?\z`).FindStringSubmatch(text)
	if match == nil || text == "" {
		return 0, false
	}
	total := new(big.Int)
	for i, seconds := range []int64{365 * 86400, 86400, 3600, 60, 1} {
		if number, ok := new(big.Int).SetString(match[i+1], 10); ok {
			total.Add(total, number.Mul(number, big.NewInt(seconds)))
		}
	}
	if total.Cmp(big.NewInt(100*365*86400)) > 0 {
		return 0, false
	}
	return time.Duration(total.Int64()) * time.Second, true
}

func FuzzDuration(f *testing.F) {
	for _, text := range []string{"3d12h", "1y2d3h4m5s", "", "12h3d", "100y", "100y1s", "0s", "9999999999999999999999999s", "1d1d", "d"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := account.ParseDuration(text)
		want, ok := slowDuration(text)
		if (err == nil) != ok || got != want {
			t.Errorf("%q: got %v, %v, want %v, %v", text, got, err, want, ok)
		}
	})
}

func FuzzDomainName(f *testing.F) {
	for _, text := range []string{"api.example.com", "API.Example.COM", "a", "127.0.0.1", "", ".", "a..b", "-a", "a-", "a_b", "a/b", "\u212a", "ä", "a\n", strings.Repeat("a.", 126) + "a"} {
		f.Add(text)
	}
	allowed := regexp.MustCompile(`\A[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*\z`)
	f.Fuzz(func(t *testing.T, text string) {
		ok := allowed.MatchString(text) && len(text) <= 253
		for label := range strings.SplitSeq(text, ".") {
			ok = ok && len(label) <= 63
		}
		name, err := account.ParseDomainName(text)
		if (err == nil) != ok {
			t.Fatalf("%q: got %q, %v, want ok %v", text, name, err, ok)
		}
		if err == nil {
			if !strings.EqualFold(name, text) || name != strings.ToLower(name) {
				t.Errorf("%q: got %q", text, name)
			}
			if again, err := account.ParseDomainName(name); err != nil || again != name {
				t.Errorf("%q: got %q, %v the second time", name, again, err)
			}
		}
	})
}
