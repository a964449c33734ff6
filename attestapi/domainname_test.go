package attestapi_test

import (
	"strings"
	"testing"

	"github.com/approovgate/approovgate/attestapi"
)

func TestParseDomainName(t *testing.T) {
	for _, row := range []struct{ name, text, want string }{
		{"a domain", "api.example.com", "api.example.com"},
		{"capitals", "API.Example.COM", "api.example.com"},
		{"one label", "localhost", "localhost"},
		{"the longest label", strings.Repeat("a", 63) + ".example", strings.Repeat("a", 63) + ".example"},
		{"a label that is too long", strings.Repeat("a", 64) + ".example", ""},
		{"a name that is too long", strings.Repeat("a.", 127), ""},
		{"nothing", "", ""},
		{"a port", "api.example.com:443", ""},
		{"a path", "api.example.com/v1", ""},
		{"an underscore", "api_v1.example.com", ""},
		{"a dot at its end", "api.example.com.", ""},
		{"two dots", "api..example.com", ""},
		{"a dash at the beginning", "-api.example.com", ""},
		{"a dash at the end of a label", "api-.example.com", ""},
		{"a wildcard", "*.example.com", ""},
		{"a line end", "api.example.com\n", ""},
		{"the Kelvin sign, which becomes a k", "\u212aelvin.example.com", ""},
		{"IPv6", "::1", ""},
	} {
		got, err := attestapi.ParseDomainName(row.text)
		if got != row.want || (err == nil) != (row.want != "") {
			t.Errorf("%s: got %q, %v, want %q", row.name, got, err, row.want)
		}
	}
}
