package store

import (
	"fmt"
	"time"
)

// Moment is a time as every Store keeps it: in UTC, to the microsecond below. The zero time stays the zero time.
func Moment(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return time.UnixMicro(t.UnixMicro()).UTC()
}

// CheckTime says whether a time can be kept: the years 1 to 9999, which both dialects and RFC 3339 know.
func CheckTime(t time.Time) error {
	if year := t.UTC().Year(); year < 1 || year > 9999 {
		return fmt.Errorf("store: a time in the year %d cannot be kept; use one from 1 to 9999", year)
	}
	return nil
}
