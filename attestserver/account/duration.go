package account

import (
	"strings"
	"time"

	"github.com/approovgate/approovgate/attestapi"
)

// MaxLifetime bounds what is given a lifetime: 100 years.
const MaxLifetime = 100 * year

const (
	day  = 24 * time.Hour
	year = 365 * day
)

// units are those of the manual's durations, in the order they must have.
var units = [...]struct {
	letter byte
	length time.Duration
}{{'y', year}, {'d', day}, {'h', time.Hour}, {'m', time.Minute}, {'s', time.Second}}

// ParseDuration reads a duration such as 3d12h (manual, "Temporary Registrations"): whole numbers with the units y
// (365 days), d, h, m and s, in this order, each at most once. It is at most MaxLifetime.
func ParseDuration(text string) (time.Duration, error) {
	var total time.Duration
	next := 0 // index of the first unit that may follow
	for rest := text; rest != "" || text == ""; {
		digits := len(rest) - len(strings.TrimLeft(rest, "0123456789"))
		if digits == 0 || digits == len(rest) {
			return 0, badDuration(text)
		}
		unit := next
		for unit < len(units) && units[unit].letter != rest[digits] {
			unit++
		}
		if unit == len(units) {
			return 0, badDuration(text)
		}
		number, ok := smallNumber(rest[:digits], int64(MaxLifetime/units[unit].length))
		total += time.Duration(number) * units[unit].length // two at most add up to 200 years, which a Duration holds
		if !ok || total > MaxLifetime {
			return 0, refuse(attestapi.CodeInvalid, "%.40q is longer than 100 years", text)
		}
		rest, next = rest[digits+1:], unit+1
	}
	return total, nil
}

func badDuration(text string) error {
	return refuse(attestapi.CodeInvalid, "%.40q is not a duration: write y, d, h, m or s behind each number, in this order, such as 3d12h", text)
}

// smallNumber is the value of digits if it is at most limit.
func smallNumber(digits string, limit int64) (n int64, ok bool) {
	for i := range len(digits) {
		n = 10*n + int64(digits[i]-'0')
		if n > limit {
			return 0, false
		}
	}
	return n, true
}

// lifetime is ParseDuration for what must last at all.
func lifetime(field, text string) (time.Duration, error) {
	d, err := ParseDuration(text)
	if err != nil {
		return 0, refuse(attestapi.CodeInvalid, "%s: %s", field, err)
	}
	if d == 0 {
		return 0, refuse(attestapi.CodeInvalid, "%s: %.40q lasts no time at all; give a longer one, such as 3d12h", field, text)
	}
	return d, nil
}
