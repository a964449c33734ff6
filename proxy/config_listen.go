package proxy

import (
	"net"
	"net/netip"
	"strconv"
	"strings"

	"github.com/approovgate/approovgate/config"
)

// Listen is one address that takes requests. In the file it is host:port, which speaks TLS when there is a
// section tls; http://host:port or https://host:port, which say it outright; or unix:/path, which never does.
// An empty host means all addresses.
type Listen struct {
	Network string // tcp or unix
	Address string // host:port, or the socket's path
	TLS     bool
}

// Unix reports whether l is a socket in the file system.
func (l Listen) Unix() bool { return l.Network == "unix" }

// TLS is the certificate that listeners show. The files are read again when they change; a pair that cannot
// be used never replaces one that can.
type TLS struct {
	Cert   string // tls.cert: file of the certificate and its chain, PEM
	Key    string // tls.key: file of its private key, PEM
	Only13 bool   // tls.min_version: "1.2" or "1.3"; default 1.2
}

// Peers are addresses that are trusted with something. The zero value is nobody.
type Peers struct {
	Networks []netip.Prefix // CIDRs, or single addresses
	Unix     bool           // the word unix: whoever may connect to a unix socket
}

// Empty reports whether p is nobody.
func (p Peers) Empty() bool { return len(p.Networks) == 0 && !p.Unix }

// contains reports whether address is one of the peers.
func (p *Peers) contains(address netip.Addr) bool {
	address = address.Unmap().WithZone("")
	for _, network := range p.Networks {
		if network.Contains(address) {
			return true
		}
	}
	return false
}

// decodeListen reads the addresses that take requests.
func decodeListen(t *config.Tree, certificate TLS) []Listen {
	if !t.Has("listen") {
		t.Refuse("listen", "is missing; give host:port, such as 127.0.0.1:8080")
		return nil
	}
	addresses := t.List("listen")
	if addresses != nil && len(addresses) == 0 {
		t.Refuse("listen", "is empty; give host:port, such as 127.0.0.1:8080")
	}
	var all []Listen
	seen := map[string]bool{}
	for i, text := range addresses {
		field := "listen[" + strconv.Itoa(i) + "]"
		l := decodeAddress(t, field, text, certificate.Cert != "")
		if l.TLS && certificate.Cert == "" {
			t.Refuse(field, "speaks TLS, which needs a certificate; add tls: {cert: FILE, key: FILE}")
		}
		if seen[l.Address] && !anyPort(l.Address) {
			t.Refuse(field, "is there twice; delete one")
		}
		seen[l.Address] = true
		all = append(all, l)
	}
	return all
}

// decodeAddress reads one address and notes what is wrong with it.
func decodeAddress(t *config.Tree, field, text string, secure bool) Listen {
	if path, ok := strings.CutPrefix(text, "unix:"); ok {
		checkSocket(t, field, path)
		return Listen{Network: "unix", Address: path}
	}
	l := Listen{Network: "tcp", Address: text, TLS: secure}
	if rest, ok := strings.CutPrefix(text, "http://"); ok {
		l.Address, l.TLS = rest, false
	} else if rest, ok := strings.CutPrefix(text, "https://"); ok {
		l.Address, l.TLS = rest, true
	}
	checkAddress(t, field, l.Address)
	return l
}

// decodeTLS reads the section tls.
func decodeTLS(t *config.Tree) TLS {
	present := t.Has("tls")
	sub := t.Sub("tls")
	c := TLS{Cert: sub.Text("cert", ""), Key: sub.Text("key", ""), Only13: sub.Choice("min_version", "1.2", "1.2", "1.3") == "1.3"}
	if present && (c.Cert == "" || c.Key == "") {
		sub.Refuse("", "needs cert and key, the paths of two PEM files")
	}
	return c
}

// decodePeers reads a list of CIDRs and addresses; the word unix stands for unix sockets.
func decodePeers(t *config.Tree, key string) Peers {
	var p Peers
	for i, text := range t.List(key) {
		if text == "unix" {
			p.Unix = true
			continue
		}
		network, err := netip.ParsePrefix(text)
		if address, single := netip.ParseAddr(text); err != nil && single == nil {
			network, err = netip.PrefixFrom(address.Unmap(), address.Unmap().BitLen()), nil
		}
		if err != nil {
			t.Refuse(key+"["+strconv.Itoa(i)+"]", "must be a network such as 10.0.0.0/8, an address, or the word unix")
			continue
		}
		p.Networks = append(p.Networks, network.Masked())
	}
	return p
}

// anyPort reports whether the system chooses the port, so that two equal addresses are not the same.
func anyPort(address string) bool { return strings.HasSuffix(address, ":0") }

// checkSocket notes what keeps path from being a socket's path (unix(7): 108 bytes with the final zero).
func checkSocket(t *config.Tree, field, path string) {
	const longest = 107
	switch {
	case !strings.HasPrefix(path, "/"):
		t.Refuse(field, "must be unix: and an absolute path, such as unix:/run/approovgate/http.sock")
	case len(path) > longest:
		t.Refuse(field, "is longer than the "+strconv.Itoa(longest)+" bytes that the path of a socket may have")
	}
}

// checkAddress notes what keeps address from being host:port.
func checkAddress(t *config.Tree, field, address string) {
	name, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Refuse(field, "must be host:port, such as 127.0.0.1:8080 or :8080")
		return
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		t.Refuse(field, "must end in a port number from 0 to 65535")
	}
	if strings.ContainsAny(name, "/@?# ") {
		t.Refuse(field, "must be host:port; the host is an address or a name")
	}
}
