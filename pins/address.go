package pins

import (
	"net/netip"
	"slices"
)

// public reports whether an address is of the public internet (RFC 6890 and the registries of special addresses it has
// made). Of IPv6 that is what lies in 2000::/3, the only part that is given to networks. Addresses that carry an IPv4
// address within, such as those of NAT64 and 6to4, are not: they would lead around this check.
func public(a netip.Addr) bool {
	a = a.Unmap()
	if !a.IsGlobalUnicast() || a.IsPrivate() {
		return false
	}
	special := special4()
	if a.Is6() {
		if !netip.MustParsePrefix("2000::/3").Contains(a) { // nor does it contain an address with a zone
			return false
		}
		special = special6()
	}
	return !slices.ContainsFunc(special, func(p netip.Prefix) bool { return p.Contains(a) })
}

// special4 are the networks that are global unicast by their form, and yet not public.
func special4() []netip.Prefix {
	return prefixes("0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15",
		"198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4")
}

// special6 are those of 2000::/3.
func special6() []netip.Prefix {
	return prefixes("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")
}

func prefixes(texts ...string) []netip.Prefix {
	all := make([]netip.Prefix, 0, len(texts))
	for _, text := range texts {
		all = append(all, netip.MustParsePrefix(text))
	}
	return all
}
