package host

import (
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
)

// foreign says why a request is none that a person or a program on this machine has sent straight here; empty:
// it may be one. What a web page can make a browser send is kept out three times: such a request has an Origin or
// says where it comes from (https://www.w3.org/TR/fetch-metadata/), and if a page's own name was made to mean this
// machine (DNS rebinding), that name is its Host.
func foreign(r *http.Request) string {
	if !localHost(r.Host) {
		return "Host: must be approovgate, localhost or a loopback address"
	}
	if _, there := r.Header["Origin"]; there {
		return "Origin: must not be there; web pages have no access"
	}
	for _, site := range r.Header["Sec-Fetch-Site"] {
		if site != "none" && site != "same-origin" {
			return "Sec-Fetch-Site: web pages have no access"
		}
	}
	for _, name := range [...]string{"Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host"} {
		if _, there := r.Header[name]; there {
			return name + ": must not be there; proxies have no access, ask the gate itself"
		}
	}
	return ""
}

// localHost reports whether a Host header means this machine, whatever its port.
func localHost(host string) bool {
	name := host
	if before, port, err := net.SplitHostPort(host); err == nil {
		if _, err := strconv.ParseUint(port, 10, 16); err != nil {
			return false
		}
		name = before
	} else if inner, ok := strings.CutPrefix(host, "["); ok {
		if name, ok = strings.CutSuffix(inner, "]"); !ok {
			return false
		}
	}
	if strings.EqualFold(name, "localhost") || strings.EqualFold(name, "approovgate") {
		return true
	}
	address, err := netip.ParseAddr(name)
	return err == nil && address.IsLoopback()
}
