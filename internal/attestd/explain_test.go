package attestd_test

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/approovgate/approovgate/attestapi"
)

// An app of which one byte is another gets tokens that do not verify; what its developer has at hand, the SDK's result
// and its first log line, tells why.
func TestWhyAnAppIsRejected(t *testing.T) {
	for _, db := range databases() {
		t.Run(db.name, func(t *testing.T) {
			w := newWorld(t, db)
			if a := w.device.do("fetch api.example.com"); a.Request == "" {
				t.Error("the genuine app: got no request ID")
			} else if out, err := w.s.tryApproov(t, w.s.admin(), "explain", a.Request); err == nil || !strings.Contains(out, "it passed") {
				t.Errorf("the genuine app: got %v: %s, want nothing to explain", err, out)
			}
			changed := filepath.Join(t.TempDir(), "changed")
			w.s.makeApp(t, changed, "!")
			d := w.other(t, changed)
			a := d.do("fetch api.example.com")
			if a.Status != "SUCCESS" || len(a.Request) != 16 {
				t.Fatalf("got %s with request ID %q, want SUCCESS and an ID", a.Status, a.Request)
			}
			eventually(t, "the failure is known", func() string { // it is noted once it has been answered
				status, text := w.s.explain(t, a.Request)
				if status != http.StatusOK {
					return text
				}
				return ""
			})
			for what, text := range map[string]string{
				"the request ID": a.Request, "the device ID": a.Device, "the token": a.Token, "the loggable token": a.Loggable, "the SDK's log": d.log.String(),
			} {
				out := w.s.approov(t, "explain", text)
				for _, part := range []string{"[" + a.Request + "]", "rejected app-not-registered: the digest was not the one registered for " + appPackage, "device " + a.Device + " now: "} {
					if !strings.Contains(out, part) {
						t.Errorf("%s: got %s, want %q in it", what, out, part)
					}
				}
			}
		})
	}
}

// A failure that was a second old is explained after a kill; one of the last moment is, or is not known, and nothing
// else is lost by it.
func TestKillKeepsFailures(t *testing.T) {
	for _, db := range databases() {
		t.Run(db.name, func(t *testing.T) {
			data, flags := db.prepare(t)
			s := startService(t, data, flags...)
			a := newApps(t, s)
			for round := range 3 {
				rooted := a.client(s, round)
				rooted.tweak = func(q *attestapi.AttestRequest) { q.Flags = []string{"rooted"} }
				fail := func() string {
					answer, err := rooted.attest()
					if err != nil || s.isValid(t, answer) {
						t.Fatalf("got a valid token or %v", err)
					}
					return answer.Request
				}
				first := fail()
				eventually(t, "a failure is explained", func() string { // it is noted once it has been answered
					if status, text := s.explain(t, first); status != http.StatusOK || !strings.Contains(text, `"code":"rooted"`) {
						return text
					}
					return ""
				})
				last := fail()
				s.kill()
				s = startService(t, data, flags...)
				if status, text := s.explain(t, first); status != http.StatusOK {
					t.Errorf("round %d, after the kill: got %d %s, want it explained", round, status, text)
				}
				if status, text := s.explain(t, last); status != http.StatusOK && status != http.StatusNotFound {
					t.Errorf("round %d, of the last moment: got %d %s, want it explained or not known", round, status, text)
				}
			}
		})
	}
}

func (s *service) explain(t testing.TB, request string) (status int, text string) {
	t.Helper()
	return s.tryManage(t, http.MethodGet, attestapi.PathExplanations+"?rid="+request, nil, nil)
}
