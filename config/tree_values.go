package config

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// largestWhole is the largest whole number that every carrier of a tree keeps exactly: JSON readers use float64.
const largestWhole = 1 << 53

// value returns what key holds; false when it is absent or null. Null is refused: it is what a line without a
// value becomes, and an empty matcher would match everything.
func (t *Tree) value(key string) (any, bool) {
	t.known[key] = true
	v, ok := t.values[key]
	if ok && v == nil {
		t.Refuse(key, "has no value; give it one or delete the line")
		return nil, false
	}
	return v, ok
}

// Text returns a string.
func (t *Tree) Text(key, def string) string {
	v, ok := t.value(key)
	if !ok {
		return def
	}
	s, ok := v.(string)
	if !ok {
		t.Refuse(key, "must be a string, is "+kind(v)+quoteHint(v))
		return def
	}
	return s
}

// Bool returns true or false; yes, no, on, off, 1 and 0 are refused.
func (t *Tree) Bool(key string, def bool) bool {
	v, ok := t.value(key)
	if !ok {
		return def
	}
	switch b := v.(type) {
	case bool:
		return b
	case string:
		if b == "true" || b == "false" {
			return b == "true"
		}
	}
	t.Refuse(key, "must be true or false"+saw(v))
	return def
}

// Int returns a whole number from low to high.
func (t *Tree) Int(key string, def, low, high int64) int64 {
	v, ok := t.value(key)
	if !ok {
		return def
	}
	n, ok := whole(v)
	if !ok {
		t.Refuse(key, fmt.Sprintf("must be a whole number from %d to %d%s", low, high, saw(v)))
		return def
	}
	if n < low || n > high {
		t.Refuse(key, fmt.Sprintf("must be from %d to %d, is %d", low, high, n))
		return def
	}
	return n
}

// Duration returns a length of time with its unit, such as "5s" or "1m30s", from low to high. Only 0 may stand
// without a unit.
func (t *Tree) Duration(key string, def, low, high time.Duration) time.Duration {
	v, ok := t.value(key)
	if !ok {
		return def
	}
	var d time.Duration
	bad := false
	switch x := v.(type) {
	case time.Duration:
		d = x
	case string:
		parsed, err := time.ParseDuration(x)
		d, bad = parsed, err != nil
	default:
		n, isWhole := whole(v)
		bad = !isWhole || n != 0
	}
	if bad {
		t.Refuse(key, "must be a duration with its unit, such as 5s or 2m"+saw(v))
		return def
	}
	if d < low || d > high {
		t.Refuse(key, fmt.Sprintf("must be from %s to %s, is %s", low, high, d))
		return def
	}
	return d
}

// Time returns an RFC 3339 time, in years that can be written as such in UTC too, or the zero time for an absent key
// or an empty string.
func (t *Tree) Time(key string) time.Time {
	v, ok := t.value(key)
	if !ok {
		return time.Time{}
	}
	var at time.Time
	switch x := v.(type) {
	case time.Time:
		at = x
	case string:
		if x == "" {
			return at
		}
		at, _ = time.Parse(time.RFC3339, x) // zero when it fails
	}
	if year := at.UTC().Year(); !at.IsZero() && year >= 0 && year <= 9999 {
		return at
	}
	t.Refuse(key, "must be an RFC 3339 time such as 2030-01-31T12:00:00Z"+saw(v))
	return time.Time{}
}

// Choice returns one of words.
func (t *Tree) Choice(key, def string, words ...string) string {
	v, ok := t.value(key)
	if !ok {
		return def
	}
	s, isText := v.(string)
	if isText {
		for _, w := range words {
			if s == w {
				return s
			}
		}
	}
	t.Refuse(key, "must be "+strings.Join(words, " or ")+saw(v))
	return def
}

// List returns a list of non-empty strings; a single string is a list of one. Nil means absent or refused, an
// empty list is not nil: whether that makes sense is the caller's to say.
func (t *Tree) List(key string) []string {
	v, ok := t.value(key)
	if !ok {
		return nil
	}
	items, ok := listed(v)
	if !ok {
		t.Refuse(key, "must be a list of strings, is "+kind(v))
		return nil
	}
	out := make([]string, 0, len(items))
	for i, item := range items {
		s, isText := item.(string)
		switch {
		case !isText:
			t.Refuse(element(key, i), "must be a string, is "+kind(item)+quoteHint(item))
		case s == "":
			t.Refuse(element(key, i), "is empty; give it a value or delete it")
		default:
			out = append(out, s)
		}
	}
	if len(out) < len(items) {
		return nil
	}
	return out
}

// Sub returns the map under key, an empty one when it is absent or refused.
func (t *Tree) Sub(key string) *Tree {
	var values map[string]any
	if v, ok := t.value(key); ok {
		values = t.mapping(key, v)
	}
	return newTree(t.Path(key), values, t.report)
}

// Subs returns the maps in the list under key.
func (t *Tree) Subs(key string) []*Tree {
	v, ok := t.value(key)
	if !ok {
		return nil
	}
	items, ok := listed(v)
	if _, single := v.(string); single || !ok {
		t.Refuse(key, "must be a list of maps, is "+kind(v))
		return nil
	}
	var out []*Tree
	for i, item := range items {
		at := element(key, i)
		out = append(out, newTree(t.Path(at), t.mapping(at, item), t.report))
	}
	return out
}

// mapping returns v as a map with string keys, or nil after noting what is wrong.
func (t *Tree) mapping(field string, v any) map[string]any {
	switch m := v.(type) {
	case map[string]any:
		if m == nil {
			return map[string]any{}
		}
		return m
	case map[any]any:
		out := make(map[string]any, len(m))
		strange := false
		for k, value := range m {
			name, ok := k.(string)
			if !ok {
				strange = true
				continue
			}
			out[name] = value
		}
		if strange {
			t.Refuse(field, "has a key that is not a string; put it in quotes or delete it")
		}
		return out
	}
	t.Refuse(field, "must be a map, is "+kind(v))
	return nil
}

// element is the path of a list's entry, counted from 0.
func element(key string, i int) string { return key + "[" + strconv.Itoa(i) + "]" }

// listed returns v as a list; a string is a list of one.
func listed(v any) ([]any, bool) {
	switch l := v.(type) {
	case []any:
		return l, true
	case []string:
		out := make([]any, 0, len(l))
		for _, s := range l {
			out = append(out, s)
		}
		return out, true
	case []map[string]any:
		out := make([]any, 0, len(l))
		for _, m := range l {
			out = append(out, m)
		}
		return out, true
	case string:
		return []any{l}, true
	}
	return nil, false
}

// whole returns v as a whole number of at most largestWhole in either direction.
func whole(v any) (int64, bool) {
	var n int64
	switch x := v.(type) {
	case int:
		n = int64(x)
	case int32:
		n = int64(x)
	case int64:
		n = x
	case uint64:
		if x > largestWhole {
			return 0, false
		}
		n = int64(x)
	case float64:
		if x != math.Trunc(x) || math.Abs(x) > largestWhole {
			return 0, false
		}
		n = int64(x)
	case json.Number:
		return wholeText(string(x))
	case string:
		return wholeText(x)
	default:
		return 0, false
	}
	return n, n >= -largestWhole && n <= largestWhole
}

// wholeText reads a plain decimal number: no sign but "-", no leading zero.
func wholeText(s string) (int64, bool) {
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil && strconv.FormatInt(n, 10) == s && n >= -largestWhole && n <= largestWhole
}

// kind names the type of a value in the document's words. Lists and maps are not in the switch: Yaegi matches
// them only where the switch binds a variable.
func kind(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case string:
		return "a string"
	case bool:
		return "true or false"
	case int, int32, int64, uint64, float64, json.Number:
		return "a number"
	case time.Time:
		return "a time"
	}
	if _, ok := listed(v); ok {
		return "a list"
	}
	if _, ok := v.(map[string]any); ok {
		return "a map"
	}
	if _, ok := v.(map[any]any); ok {
		return "a map"
	}
	return "of an unknown type"
}

// quoteHint is the fix for a scalar that was meant to be a string.
func quoteHint(v any) string {
	switch v.(type) {
	case bool, int, int32, int64, uint64, float64, json.Number, time.Time:
		return "; put it in quotes"
	}
	return ""
}

// saw repeats a short string of the document, and otherwise names its type.
func saw(v any) string {
	s, ok := v.(string)
	if !ok {
		return ", is " + kind(v)
	}
	if len(s) > nameShown {
		return ""
	}
	return ", is " + strconv.Quote(s)
}
