package main

import (
	"errors"
	"flag"
	"fmt"
	"strings"
	"time"
)

const (
	defaultSpan = time.Hour
	longestSpan = 24 * time.Hour
)

// ending is when an override is to end, as flags say it. The zero value says nothing.
type ending struct {
	span  time.Duration // from when the gate takes it; 0: see until
	until time.Time     // zero: see span
}

func (e ending) given() bool { return e != ending{} }

// endFlags are --for and --until as typed.
type endFlags struct{ span, until string }

func (f *endFlags) declare(flags *flag.FlagSet) {
	flags.StringVar(&f.span, "for", "", "")
	flags.StringVar(&f.until, "until", "", "")
}

// ending reads the flags.
func (f endFlags) ending(now time.Time, zone *time.Location) (ending, error) {
	switch {
	case f.span != "" && f.until != "":
		return ending{}, errors.New("--for and --until say the same in two ways; give one")
	case f.span != "":
		span, err := time.ParseDuration(f.span)
		if err != nil {
			return ending{}, fmt.Errorf("--for must be a length of time with its unit, such as 15m or 2h30m, is %q", f.span)
		}
		if span < time.Second {
			return ending{}, fmt.Errorf("--for must be at least 1s, is %s", f.span)
		}
		if span > longestSpan {
			return ending{}, fmt.Errorf("--for may be at most 24h; what lasts longer must be written out: --until %s",
				now.Add(span).In(zone).Format(time.RFC3339))
		}
		return ending{span: span}, nil
	case f.until != "":
		until, err := readTime(f.until, now, zone)
		return ending{until: until}, err
	}
	return ending{}, nil
}

// localTimes are the ways to write --until without a time zone.
var localTimes = []string{"2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02 15:04:05", "2006-01-02 15:04", "15:04:05", "15:04"}

// readTime reads --until: RFC 3339, or a local time, of today if it has no date. It must lie ahead.
func readTime(text string, now time.Time, zone *time.Location) (time.Time, error) {
	at, err := time.Parse(time.RFC3339, text)
	hint := ""
	for _, layout := range localTimes {
		if err == nil {
			break
		}
		if _, wrong := time.Parse(layout, text); wrong != nil {
			continue
		}
		full, written := layout, text
		if !strings.Contains(layout, "2006") {
			today := now.In(zone).Format("2006-01-02")
			full, written = "2006-01-02T"+layout, today+"T"+text
			tomorrow := now.In(zone).AddDate(0, 0, 1).Format("2006-01-02")
			hint = "; for tomorrow write --until " + tomorrow + "T" + text
		}
		if at, err = localTime(full, written, zone); err != nil {
			return time.Time{}, fmt.Errorf("--until %s %w", text, err)
		}
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("--until must be a time such as %s, or a local one such as 15:04 or 2006-01-02T15:04, is %q",
			now.Add(defaultSpan).In(zone).Format(time.RFC3339), text)
	}
	if !at.After(now) {
		return time.Time{}, fmt.Errorf("--until %s has passed; it is %s now%s", text, clockText(now, now, zone), hint)
	}
	return at, nil
}

// localTime reads a time of a zone. One that the clocks skip, and one that they show twice, are refused.
func localTime(layout, text string, zone *time.Location) (time.Time, error) {
	at, err := time.ParseInLocation(layout, text, zone)
	if err != nil {
		return time.Time{}, err
	}
	wall, err := time.Parse(layout, text)
	if err != nil {
		return time.Time{}, err
	}
	reads := func(at time.Time) bool { return at.Format(time.DateTime) == wall.Format(time.DateTime) }
	if !reads(at) {
		return time.Time{}, errors.New("does not exist: the clocks go forward then; write it with its offset, such as " + at.Format(time.RFC3339))
	}
	_, offset := at.Zone()
	from, to := at.ZoneBounds()
	for _, near := range [...]time.Time{from.Add(-1), to} {
		_, other := near.Zone()
		if twin := at.Add(time.Duration(offset-other) * time.Second); other != offset && reads(twin) {
			return time.Time{}, fmt.Errorf("happens twice: the clocks go back then; write %s or %s", at.Format(time.RFC3339), twin.Format(time.RFC3339))
		}
	}
	return at, nil
}

// clockText is a time as people read it, with the date unless it is that of now.
func clockText(at, now time.Time, zone *time.Location) string {
	at, now = at.In(zone), now.In(zone)
	layout := "15:04:05 MST"
	if at.Format(time.DateOnly) != now.Format(time.DateOnly) {
		layout = "Mon 2006-01-02 15:04:05 MST"
	}
	return at.Format(layout)
}

// clockAndSpan is a time and how far it is from now.
func clockAndSpan(at, now time.Time, zone *time.Location) string {
	return clockText(at, now, zone) + " (" + fromNow(at, now) + ")"
}

// fromNow is how far a time is from now, such as "in 15 min" or "3 h 12 min ago".
func fromNow(at, now time.Time) string {
	d := at.Sub(now)
	switch {
	case d > -time.Second && d < time.Second:
		return "now"
	case d < 0:
		return spanText(-d) + " ago"
	}
	return "in " + spanText(d)
}

// spanText is a length of time in the two units that matter.
func spanText(d time.Duration) string {
	two := func(d, small time.Duration, big string, perBig int, unit string) string {
		n := int(d.Round(small) / small)
		if n%perBig == 0 {
			return fmt.Sprintf("%d %s", n/perBig, big)
		}
		return fmt.Sprintf("%d %s %d %s", n/perBig, big, n%perBig, unit)
	}
	switch {
	case d.Round(time.Second) < time.Minute:
		return fmt.Sprintf("%d s", d.Round(time.Second)/time.Second)
	case d.Round(time.Second) < 10*time.Minute:
		return two(d, time.Second, "min", 60, "s")
	case d.Round(time.Minute) < time.Hour:
		return fmt.Sprintf("%d min", d.Round(time.Minute)/time.Minute)
	case d.Round(time.Minute) < 48*time.Hour:
		return two(d, time.Minute, "h", 60, "min")
	}
	return two(d, time.Hour, "days", 24, "h")
}
