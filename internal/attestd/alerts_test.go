package attestd_test

import (
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/approovgate/approovgate/attestapi"
	"github.com/approovgate/approovgate/internal/porttest"
)

// What the alert rules ask for is what a service with an app that passes, one that fails, and a domain whose pin is
// wrong has: a misspelt metric, label or value would never fire.
func TestAlertsAskForWhatIsThere(t *testing.T) {
	text, err := os.ReadFile("../../deploy/prometheus/attestserver.yml")
	if err != nil {
		t.Fatal(err)
	}
	selectors := map[string]bool{}
	for _, found := range regexp.MustCompile(`attestserver_[a-z_]+(\{[^}]*\})?`).FindAllString(string(text), -1) {
		selectors[found] = true
	}
	if len(selectors) < 10 {
		t.Fatalf("got %d selectors, want 10 or more: is everything read?", len(selectors))
	}

	server, status := startAPI(t, domain), porttest.Free(t)
	s := startService(t, t.TempDir(), "--status", status, "--pin-check", "10m", "--pin-ca", server.ca, "--pin-connect", domain+"="+server.address)
	a := newApps(t, s)
	for _, flags := range [][]string{nil, {"rooted"}} {
		client := a.client(s, len(flags))
		client.tweak = func(q *attestapi.AttestRequest) { q.Flags = flags }
		if _, err := client.attest(); err != nil {
			t.Fatal(err)
		}
	}
	s.manage(t, http.MethodPut, attestapi.PathDomains, attestapi.Domains{Domains: []attestapi.APIDomain{{Domain: domain, Pins: []string{newPin()}}}}, nil)
	eventually(t, "there is a series for each selector", func() string {
		page := metricsOf(t, status)
		for selector := range selectors {
			if !selects(selector, page) {
				return selector + " selects nothing of\n" + page
			}
		}
		return ""
	})
}

// selects reports whether a page of metrics has a series that a selector of Prometheus selects.
func selects(selector, page string) bool {
	name, labels, _ := strings.Cut(strings.TrimSuffix(selector, "}"), "{")
	pattern := `(?m)^` + name
	if labels != "" {
		label, values, _ := strings.Cut(labels, "=") // the rules have one in each selector
		pattern += `\{(.*,)?` + label + `="(` + strings.Trim(strings.TrimPrefix(values, "~"), `"`) + `)"[,}]`
	} else {
		pattern += `[{ ]`
	}
	return regexp.MustCompile(pattern).MatchString(page)
}
