package config

import (
	"reflect"
	"testing"
	"time"
)

func TestProblemsAreOrderedByPath(t *testing.T) {
	tr := NewTree(map[string]any{"list": []any{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}, "b": 1, "a key": 1})
	tr.List("list")
	var got []string
	for _, p := range tr.Problems() {
		got = append(got, p.Path)
	}
	want := []string{`["a key"]`, "b", "list[0]", "list[1]", "list[2]", "list[3]", "list[4]", "list[5]", "list[6]",
		"list[7]", "list[8]", "list[9]", "list[10]"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("paths\n%q\nwant\n%q", got, want)
	}
}

func TestSubTreesShareTheirProblems(t *testing.T) {
	tr := NewTree(map[string]any{"policy": map[string]any{"keys": "x", "typo": "y"}, "listen": true})
	tr.Text("listen", "")
	DecodeFrom(tr.Sub("policy"))
	sameProblems(t, tr.Problems(), []string{"listen: must be a string", "policy.keys: must be a list of maps", "policy.typo: unknown key"})
	if got := len(tr.Problems()); got != 3 {
		t.Errorf("asked again: %d problems, want 3", got)
	}
}

func TestWrongTypesAreNamed(t *testing.T) {
	values := []any{nil, true, 1, int32(1), int64(1), uint64(1), 1.5, "x", []any{}, []string{}, []map[string]any{},
		map[string]any{}, map[any]any{}, time.Now(), time.Second, struct{}{}, (*int)(nil), map[string]any(nil)}
	for _, v := range values {
		tr := NewTree(map[string]any{"k": v})
		tr.Text("k", "")
		tr.Bool("k", false)
		tr.Int("k", 0, 5, 6)
		tr.Duration("k", 0, 5, 6)
		tr.Time("k")
		tr.Choice("k", "", "a", "b")
		tr.List("k")
		tr.Sub("k").Text("x", "")
		for _, s := range tr.Subs("k") {
			s.Text("x", "")
		}
		if len(tr.Problems()) < 5 {
			t.Errorf("%T: problems %q, want at least 5: it cannot be nearly everything", v, lines(tr.Problems()))
		}
	}
}

func TestWholeNumbers(t *testing.T) {
	for _, row := range []struct {
		name string
		v    any
		want int64
		ok   bool
	}{
		{"a decimal text", "42", 42, true},
		{"a negative text", "-42", -42, true},
		{"a leading zero is refused", "042", 0, false},
		{"a plus sign is refused", "+42", 0, false},
		{"a space is refused", " 42", 0, false},
		{"an underscore is refused", "4_2", 0, false},
		{"an exponent in text is refused", "4e2", 0, false},
		{"hexadecimal is refused", "0x2a", 0, false},
		{"a whole float", float64(400), 400, true},
		{"a fraction is refused", 4.5, 0, false},
		{"2^53 is the largest", float64(1 << 53), 1 << 53, true},
		{"a float above 2^53 is refused", float64(1<<53) * 2, 0, false},
		{"an integer above 2^53 is refused", int64(1<<53 + 1), 0, false},
		{"an unsigned integer above 2^63 is refused", uint64(1 << 63), 0, false},
		{"true is refused", true, 0, false},
	} {
		got, ok := whole(row.v)
		if ok != row.ok || ok && got != row.want {
			t.Errorf("%s: %d %t, want %d %t", row.name, got, ok, row.want, row.ok)
		}
	}
}

func TestSuggestions(t *testing.T) {
	names := []string{"binding", "device_id", "ip", "mode", "name"}
	for _, row := range []struct{ name, in, want string }{
		{"one letter missing", "bindng", "binding"},
		{"two letters swapped", "nmae", "name"},
		{"another spelling", "deviceID", "device_id"},
		{"another case", "MODE", "mode"},
		{"three edits are too many", "bndg12", ""},
		{"a short name is not everything short", "xy", ""},
		{"one letter is no misspelling", "p", ""},
		{"nothing is near a long text", "a-long-text-that-is-no-name-at-all-but-may-be-a-secret", ""},
	} {
		if got := nearest(row.in, names); got != row.want {
			t.Errorf("%s: %q, want %q", row.name, got, row.want)
		}
	}
}
