// Package plist reads Apple's property lists, XML and binary, as they stand in iOS apps: Info.plist and the
// entitlements of a code signature.
//
// It owns the two forms and nothing of what the keys mean. It trusts no file: nothing is followed or fetched, and
// whatever one holds, the memory and work taken stay below the bounds here and the answer is a value or an error.
//
// Start reading at Parse; the forms are in xml.go and binary.go.
package plist

import (
	"bytes"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"
)

// The bounds of a property list. Apps' own have some kilobytes and are at most five deep.
const (
	MaxSize   = 1 << 20 // bytes of a file
	MaxDepth  = 64      // of values in one another
	MaxValues = 1 << 16 // values of all kinds; one that is shared counts each time it is read
	MaxWork   = 4 << 20 // bytes of strings and data, shared ones counted each time
)

// Dict is a dictionary. Its values, like those of arrays and like what Parse returns, are of these types only:
//
//	Dict, []any, string, bool, float64, time.Time (UTC), []byte, UID,
//	int64, or uint64 for what is above the largest int64
type Dict map[string]any

// UID is a number by which archived objects refer to one another. Only the binary form has it.
type UID uint64

// Text is the string under a key. Empty: there is none, or something else stands there.
func (d Dict) Text(key string) string {
	text, _ := d[key].(string)
	return text
}

// Bool is the boolean under a key. False: there is none, or something else stands there.
func (d Dict) Bool(key string) bool {
	value, _ := d[key].(bool)
	return value
}

var (
	errValues = fmt.Errorf("plist: it has more than %d values", MaxValues)
	errWork   = fmt.Errorf("plist: its strings and data have more than %d bytes", MaxWork)
	errDepth  = fmt.Errorf("plist: its values are more than %d deep", MaxDepth)
)

// Parse reads a property list of either form.
func Parse(data []byte) (any, error) {
	if len(data) > MaxSize {
		return nil, fmt.Errorf("plist: it has more than %d bytes", MaxSize)
	}
	if bytes.HasPrefix(data, []byte("bplist")) {
		return parseBinary(data)
	}
	return parseXML(data)
}

// ParseDict reads a property list that is a dictionary, as Info.plist and entitlements are.
func ParseDict(data []byte) (Dict, error) {
	value, err := Parse(data)
	if err != nil {
		return nil, err
	}
	dict, ok := value.(Dict)
	if !ok {
		return nil, errors.New("plist: it is not a dictionary")
	}
	return dict, nil
}

// budget is what may still be read.
type budget struct{ values, work int }

func newBudget() budget { return budget{MaxValues, MaxWork} }

// take counts a value and the bytes of its content.
func (b *budget) take(content int) error {
	if b.values--; b.values < 0 {
		return errValues
	}
	if b.work -= content; b.work < 0 {
		return errWork
	}
	return nil
}

// put adds to a dictionary. A key that is there twice would be read by one reader this way and by another that way.
func (d Dict) put(key string, value any) error {
	if _, twice := d[key]; twice {
		return fmt.Errorf("plist: the key %.80q is there twice", key)
	}
	d[key] = value
	return nil
}

// checkText refuses what no string of a property list holds in both forms: bytes that are no UTF-8.
func checkText(text string) error {
	if !utf8.ValidString(text) {
		return fmt.Errorf("plist: the string %.80q is not valid Unicode", text)
	}
	return nil
}

// checkDate keeps dates to the years that have four digits, as the XML form writes them.
func checkDate(date time.Time) error {
	if year := date.Year(); year < 1 || year > 9999 {
		return errors.New("plist: a date is outside the years 1 to 9999")
	}
	return nil
}
