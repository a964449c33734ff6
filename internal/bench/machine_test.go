package main

import (
	"slices"
	"testing"
)

func TestListsOfProcessors(t *testing.T) {
	for list, want := range map[string][]int{"0": {0}, "0-1": {0, 1}, "0-2,5": {0, 1, 2, 5}, "3,7-8": {3, 7, 8}} {
		if got, err := parseCPUs(list); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: got %v, %v, want %v", list, got, err, want)
		}
	}
	for _, list := range []string{"", "a", "1-", "1,,2"} {
		if got, err := parseCPUs(list); err == nil {
			t.Errorf("%q: got %v, want an error", list, got)
		}
	}
}
