package engine

import (
	"crypto/sha256"
	"encoding/binary"
)

// enforced reports whether a request belongs to the share of devices for which failing is rejected.
// A device is known by the did of a verified token, and otherwise by the client's address, so that it
// stays on one side, on every gate, for as long as the percentage does not change.
func enforced(req *Request, d *Decision, percent int) bool {
	id := "did:" + d.Claims.Device
	if d.Claims.Device == "" {
		id = "ip:" + address(req.Peer)
	}
	sum := sha256.Sum256([]byte(id))
	return binary.BigEndian.Uint32(sum[:4])%100 < uint32(percent)
}
