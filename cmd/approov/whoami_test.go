package main

import (
	"strings"
	"testing"
	"time"
)

func TestExpiryWarning(t *testing.T) {
	now := time.Date(2030, 1, 31, 12, 0, 0, 0, time.UTC)
	c := &call{console: &console{now: func() time.Time { return now }}}
	for _, row := range []struct {
		name    string
		expires time.Time
		want    string
	}{
		{"a year left", now.AddDate(1, 0, 0), ""},
		{"just over a week left", now.Add(soon + 1), ""},
		{"a week left", now.Add(soon), "WARNING: the token expires in 7d: "},
		{"nearly a week left", now.Add(soon - 90*time.Minute), "WARNING: the token expires in 6d22h: "},
		{"hours left", now.Add(3*time.Hour + 59*time.Minute + 59*time.Second), "WARNING: the token expires in 3h59m: "},
		{"minutes left", now.Add(5 * time.Minute), "WARNING: the token expires in 5m: "},
		{"less than a minute left", now.Add(59 * time.Second), "WARNING: the token expires within a minute: "},
		{"accepted, but expired", now, "WARNING: by this machine's clock the token has expired"},
		{"no expiry told", time.Time{}, ""},
	} {
		if got := c.expiryWarning(row.expires); !strings.HasPrefix(got, row.want) || got != "" && row.want == "" {
			t.Errorf("%s: got %q, want %q", row.name, got, row.want)
		}
	}
}
