package sdk

import "net"

// hasNetwork reports whether an interface other than loopback is up and has an address by which others can be reached.
// A system that does not tell is taken to have a network: the attempt will show.
func hasNetwork() bool {
	interfaces, err := net.Interfaces()
	if err != nil {
		return true
	}
	for _, i := range interfaces {
		if i.Flags&net.FlagUp == 0 || i.Flags&net.FlagLoopback != 0 {
			continue
		}
		addresses, err := i.Addrs()
		if err != nil {
			return true
		}
		for _, a := range addresses {
			if network, ok := a.(*net.IPNet); !ok || network.IP.IsGlobalUnicast() {
				return true
			}
		}
	}
	return false
}
