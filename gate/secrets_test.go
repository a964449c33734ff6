package gate_test

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/approovgate/approovgate/config"
	"github.com/approovgate/approovgate/gate"
	"github.com/approovgate/approovgate/source"
)

// TestNothingSecretIsShown looks for secrets, and for what opens the same tokens, in everything that a host could
// come to log, and in everything that a gate holds in the open.
func TestNothingSecretIsShown(t *testing.T) {
	f := keptFleet(t)
	rawSecret := []byte("TEST KEY, never use: a raw secret to look for in all that is shown")
	f.policy["keys"] = append(f.policy["keys"].([]any),
		tree{"name": "account", "alg": "HS256", "secret": "env:ACCOUNT", "jwe": true},
		tree{"name": "inline", "alg": "HS256", "secret": "inline:" + encoded("inline"), "kid": "i"},
		tree{"name": "raw", "alg": "HS256", "secret": "env:RAW", "encoding": "raw", "jwe": true, "kid": "r"})
	f.secrets["env:RAW"] = string(rawSecret)
	control := f.policy["control"].(tree)
	control["token"], control["seal"] = "inline:TEST-inline-token-never-use", "inline:"+encoded("seal")
	hidden := []string{"TEST-inline-token-never-use"}
	for _, secret := range [][]byte{rawSecret, testKey("account"), testKey("inline"), testKey("one"), testKey("seal"), []byte("TEST-inline-token-never-use")} {
		sum := sha256.Sum256(secret) // the key of encrypted tokens
		for _, form := range [][]byte{secret, sum[:]} {
			hidden = append(hidden, spellings(form)...)
			hidden = append(hidden, fmt.Sprint(form)[1:40], strings.TrimSuffix(strings.SplitN(fmt.Sprintf("%#v", form), "{", 2)[1], "}")[:40], fmt.Sprintf("%q", form)[1:20])
		}
	}
	f.plane.put("/control", f.plane.control(t, 1, bypass(1)))
	f.plane.put("/ring", f.plane.ring(t, 1, member("one", tree{"jwe": true, "kid": "o"}), tree{"name": "raw", "alg": "HS256", "secret": "inline:" + string(rawSecret), "encoding": "raw", "kid": "r2"}))
	var events []gate.Event
	o := f.options()
	o.Notify = func(e gate.Event) { events = append(events, e) }
	g, problems := gate.New(o)
	if g == nil {
		t.Fatal(problems)
	}
	f.g = g
	f.poll()
	if !g.Ready() || len(g.Status().Keys) != 5 {
		t.Fatalf("got %+v, want five keys", g.Status())
	}
	shown := shape(problems, g, g.Status(), g.Counters())
	// What may go wrong with each of them.
	f.plane.put("/ring", f.plane.ring(t, 2, member("one", tree{"secret": "inline:" + encoded("one")[:40]}), member("one", tree{"encoding": encoded("one")})))
	f.plane.show("/control", page{answer: func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprint(w, r.Header)
	}})
	f.poll()
	f.change(func(d *desk) {
		d.policy["control"] = with2(control, tree{"cache": "/proc", "seal": "inline:" + encoded("seal")[:40]})
	})
	shown += shape(g.Refresh(), g.Status(), g)
	f.change(func(d *desk) { d.policy["control"] = with2(control, tree{"cache": "/proc"}) })
	f.plane.put("/ring", f.plane.ring(t, 2, member("one", nil)))
	shown += shape(g.Refresh())
	f.poll()
	shown += shape(g.Refresh(), g.Status(), g, events)
	for _, part := range []string{"control.cache", "must be base64 or base32 or raw", "weak: ", "the server answers 401"} {
		if !strings.Contains(shown, part) {
			t.Errorf("got nothing of %q in what is shown, want all that may go wrong", part)
		}
	}
	for _, one := range hidden {
		if i := strings.Index(shown, one); i >= 0 {
			t.Errorf("got %q in what is shown, want it nowhere: %q", one, around(shown, i))
		}
	}
}

func around(text string, i int) string {
	begin, end := i-150, i+50
	if begin < 0 {
		begin = 0
	}
	if end > len(text) {
		end = len(text)
	}
	return text[begin:end]
}

// shape is everything that can be seen of values: what fmt makes of them, and all texts that they lead to.
func shape(values ...any) string {
	var b strings.Builder
	for _, v := range values {
		fmt.Fprintf(&b, "%v %+v %#v %q\n", v, v, v, v)
		if problems, ok := v.([]config.Problem); ok {
			fmt.Fprintln(&b, problemText(problems))
		}
		follow(&b, reflect.ValueOf(v), map[uintptr]bool{})
	}
	return b.String()
}

// follow writes down all texts that a value leads to. Functions hide what they hold. So do connections, which are
// not a gate's own.
func follow(b *strings.Builder, v reflect.Value, seen map[uintptr]bool) {
	if v.IsValid() && v.Type() == reflect.TypeFor[*source.Remote]() {
		return
	}
	switch v.Kind() {
	case reflect.String:
		b.WriteString(v.String() + "\n")
	case reflect.Pointer:
		if !v.IsNil() && !seen[v.Pointer()] {
			seen[v.Pointer()] = true
			follow(b, v.Elem(), seen)
		}
	case reflect.Interface:
		follow(b, v.Elem(), seen)
	case reflect.Struct:
		for i := range v.NumField() {
			follow(b, v.Field(i), seen)
		}
	case reflect.Map:
		for entry := v.MapRange(); entry.Next(); {
			follow(b, entry.Key(), seen)
			follow(b, entry.Value(), seen)
		}
	case reflect.Slice, reflect.Array:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			for i := range v.Len() {
				b.WriteByte(byte(v.Index(i).Uint()))
			}
			b.WriteByte('\n')
			return
		}
		for i := range v.Len() {
			follow(b, v.Index(i), seen)
		}
	}
}
