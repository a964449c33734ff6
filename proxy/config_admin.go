package proxy

import (
	"net"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/approovgate/approovgate/config"
)

// decodeAdmin reads admin and admin_token. A token that is refused is left out.
func decodeAdmin(t *config.Tree) (Listen, string) {
	text, token := t.Text("admin", ""), t.Text("admin_token", "")
	kind, rest, _ := strings.Cut(token, ":")
	usable := token == "" || (kind == "file" || kind == "env") && rest != ""
	if !usable {
		t.Refuse("admin_token", "must be file:PATH or env:NAME, never the token itself")
		token = ""
	}
	if text == "" {
		if token != "" {
			t.Refuse("admin_token", "is for admin, and there is none; delete it, or add admin: 127.0.0.1:9903")
		}
		return Listen{}, ""
	}
	if path, ok := strings.CutPrefix(text, "unix:"); ok {
		checkSocket(t, "admin", path)
		if token != "" {
			t.Refuse("admin_token", "is for a TCP address; delete it: only the gate's own user can open the socket")
		}
		return Listen{Network: "unix", Address: path}, ""
	}
	if address, err := netip.ParseAddrPort(text); err != nil || !address.Addr().IsLoopback() {
		t.Refuse("admin", "must be unix: and an absolute path, or a port of a loopback address, such as 127.0.0.1:9903")
		return Listen{}, token
	}
	if token == "" && usable {
		t.Refuse("admin_token", "is missing; any process of this machine can reach "+text+": give file:PATH or env:NAME, or use a unix socket")
	}
	return Listen{Network: "tcp", Address: text}, token
}

// checkAdmin notes where the admin interface would be what others reach too.
func checkAdmin(t *config.Tree, c *Config) {
	if c.Admin.Address == "" {
		return
	}
	for i, l := range c.Listen {
		if samePlace(c.Admin, l) {
			t.Refuse("admin", "is also listen["+strconv.Itoa(i)+"]; give it a place of its own")
		}
	}
	if c.Status != "" && samePlace(c.Admin, Listen{Network: "tcp", Address: c.Status}) {
		t.Refuse("admin", "is also the status address; give it a port of its own")
	}
	if c.Upstream.URL == nil {
		return
	}
	upstream := Listen{Network: "tcp", Address: addressOf(c.Upstream.URL)}
	if c.Upstream.Socket != "" {
		upstream = Listen{Network: "unix", Address: c.Upstream.Socket}
	}
	if samePlace(c.Admin, upstream) {
		t.Refuse("upstream", "is admin: whom the gate lets through could switch it off")
	}
}

// samePlace reports whether a connection to another address could end at the admin interface, or keep it from
// listening.
func samePlace(admin, other Listen) bool {
	if admin.Unix() || other.Unix() {
		return admin.Unix() && other.Unix() && filepath.Clean(admin.Address) == filepath.Clean(other.Address)
	}
	name, port, err := net.SplitHostPort(other.Address)
	at, bad := netip.ParseAddrPort(admin.Address)
	if err != nil || bad != nil || at.Port() == 0 || port != strconv.Itoa(int(at.Port())) {
		return false
	}
	address, err := netip.ParseAddr(name)
	if err != nil {
		return name == "" || strings.EqualFold(name, "localhost")
	}
	return address.IsUnspecified() || address.IsLoopback()
}
