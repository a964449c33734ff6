package main

import "testing"

// R89: the old name is recognised however the tool is called.
func TestIsLegacy(t *testing.T) {
	for _, row := range []struct {
		program string
		want    bool
	}{
		{"registration", true}, {"./registration", true}, {"/usr/local/bin/registration", true},
		{"registration.exe", true}, {"REGISTRATION.EXE", true},
		{"approov", false}, {"/registration/approov", false}, {"registration2", false}, {"registration.sh", false}, {"", false},
	} {
		if got := isLegacy(row.program); got != row.want {
			t.Errorf("%q: got %v, want %v", row.program, got, row.want)
		}
	}
}
