package yaegitest_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/traefik/yaegi/interp"

	"github.com/approovgate/approovgate/internal/liveask"
	"github.com/approovgate/approovgate/internal/liveask/suite"
)

const livePackage = module + "/internal/liveask"

// TestLiveControlInterpreted plays every scenario of live control compiled and interpreted, and demands the same
// answers at every step.
func TestLiveControlInterpreted(t *testing.T) {
	interpreted := liveDriver(t, interpreter(t, livePackage))
	for _, s := range suite.Scenarios() {
		t.Run(s.Name, func(t *testing.T) {
			if !s.Alone {
				t.Parallel()
			}
			want := s.Play(t, suite.Driver{Do: liveask.Do, Handler: liveask.Handler, Decode: liveask.Decode})
			got := s.Play(t, interpreted)
			for i := 0; i < len(got) || i < len(want); i++ {
				if i >= len(got) || i >= len(want) {
					t.Fatalf("got %d steps interpreted, want %d as compiled", len(got), len(want))
				}
				if got[i] != want[i] {
					t.Errorf("step %d: %s", i, difference(got[i], want[i]))
				}
			}
		})
	}
}

// difference is where two texts begin to differ.
func difference(got, want string) string {
	at := 0
	for at < len(got) && at < len(want) && got[at] == want[at] {
		at++
	}
	from := max(0, at-60)
	return fmt.Sprintf("%.20s … got %.200q, want as compiled %.200q", got, got[from:], want[from:])
}

// liveDriver is package liveask in the interpreter. Its functions get and return only what compiled code knows too.
func liveDriver(t testing.TB, i *interp.Interpreter) suite.Driver {
	t.Helper()
	var d suite.Driver
	var ok bool
	if d.Do, ok = symbol(t, i, "Do").(func(string) string); !ok {
		t.Fatalf("Do: got %T", symbol(t, i, "Do"))
	}
	if d.Handler, ok = symbol(t, i, "Handler").(func(string, http.Handler) http.Handler); !ok {
		t.Fatalf("Handler: got %T", symbol(t, i, "Handler"))
	}
	if d.Decode, ok = symbol(t, i, "Decode").(func(map[string]any) ([]string, string)); !ok {
		t.Fatalf("Decode: got %T", symbol(t, i, "Decode"))
	}
	return d
}

func symbol(t testing.TB, i *interp.Interpreter, name string) any {
	t.Helper()
	value, err := i.Eval("liveask." + name)
	if err != nil {
		t.Fatal(err)
	}
	return value.Interface()
}
