package gate_test

import "testing"

// An upgrade to HTTP/2 would go on where no gate sees the requests.
func TestUpgradesToHTTP2AreDeclined(t *testing.T) {
	g := openGate(t, nil)
	for _, row := range []struct {
		upgrade []string
		stays   bool
	}{
		{[]string{"websocket"}, true}, {[]string{"WebSocket"}, true}, {[]string{"h2c"}, false}, {[]string{"H2C"}, false},
		{[]string{"h2c/1"}, false}, {[]string{"websocket, h2c"}, false}, {[]string{"websocket", "h2c"}, false}, {[]string{"\th2c"}, false}, {[]string{""}, false},
	} {
		r := genuine(t, "/")
		r.Header["Upgrade"] = row.upgrade
		r.Header["Http2-Settings"] = []string{"x"}
		a := g.Ask(r)
		a.Apply(r)
		if _, stays := r.Header["Upgrade"]; stays != row.stays || len(r.Header["Http2-Settings"]) != 0 {
			t.Errorf("%q: got %v, want it kept: %v", row.upgrade, r.Header, row.stays)
		}
	}
}
