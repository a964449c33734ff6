package manage_test

import (
	"encoding/json"
	"io"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/approovgate/approovgate/attestapi"
)

// FuzzBodies sends any text as the body of every path that takes one, as an administrator. Nothing fails, a refusal
// is a problem and changes nothing, and what is taken is JSON that an independent decoder reads too.
func FuzzBodies(f *testing.F) {
	var paths []operation
	for _, o := range everything {
		if o.method != "GET" && o.body != nil {
			text, err := json.Marshal(o.body)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(uint8(len(paths)), string(text))
			paths = append(paths, o)
		}
	}
	for _, text := range []string{"", "{}", "null", "[]", `""`, "0", `{"domain":null}`, `{"gates":[null]}`, `{"routes":{"":""},"gates":["a"]}`, `{"domain":"a","domain":"b"}`,
		"{\"domain\":\"\u0000\"}", `{"until":"9999-12-31T23:59:59Z","gates":["a"],"mode":"log"}`, `{"until":"x"}`, strings.Repeat("[", 20000), `{"file":1e999}`} {
		for i := range paths {
			f.Add(uint8(i), text)
		}
	}
	r := prepared(f)
	start := r.store.now()
	f.Fuzz(func(t *testing.T, which uint8, body string) {
		o := paths[int(which)%len(paths)]
		if strings.Contains(body, "RS256") {
			t.Skip("making RSA keys takes too long for this")
		}
		r.store.account, r.store.audit, r.t = start.Clone(), nil, t
		g := r.ask(r.admin, o.method, o.path, body)
		switch {
		case g.status == 200:
			decoder := json.NewDecoder(strings.NewReader(body))
			var v map[string]any
			if err := decoder.Decode(&v); err != nil || v == nil {
				t.Errorf("%s: %q is taken, and is no object: %v", o.path, body, err)
			}
			if _, err := decoder.Token(); err != io.EOF {
				t.Errorf("%s: %q is taken, and has more behind it", o.path, body)
			}
		case slices.Contains([]int{400, 404, 409, 413, 422}, g.status):
			var p attestapi.Problem
			if err := json.Unmarshal([]byte(g.body), &p); err != nil || p.Code == "" || p.Detail == "" || p.Status != g.status {
				t.Errorf("%s: %q: got %s", o.path, body, g.body)
			}
			if !reflect.DeepEqual(r.store.now(), start) || len(r.store.audit) != 0 {
				t.Errorf("%s: %q is refused and has changed the account", o.path, body)
			}
		default:
			t.Errorf("%s: %q: got %d %s", o.path, body, g.status, g.body)
		}
		r.store.account, r.t = start, f
	})
}
