package engine

import "testing"

// Both ways to tell a plain path must agree: hosts that interpret the engine take the other one.
func TestPlainPathsAreToldAlikeByLoopAndByCalls(t *testing.T) {
	compared, plain := 0, 0
	check := func(path string) {
		compared++
		got, want := isPlainByCalls(path), isPlain(path)
		if got != want {
			t.Errorf("%q: got %v by calls, want %v", path, got, want)
		}
		if want {
			plain++
		}
	}
	for c := 0; c < 256; c++ {
		check(string([]byte{byte(c)}))
		for d := 0; d < 256; d++ {
			check("/" + string([]byte{byte(c), byte(d)}))
		}
		check("/v1/" + string([]byte{byte(c)}) + "/items")
	}
	if plain < 1000 || plain == compared {
		t.Errorf("got %d plain of %d, want some of each", plain, compared)
	}
}
