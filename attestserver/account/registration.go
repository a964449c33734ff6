package account

import "encoding/base64"

// Signature names a registration: digest, package, version and library (manual, "Listing Registrations").
func (r Registration) Signature() string {
	return base64.StdEncoding.EncodeToString(r.Digest[:]) + r.Package + "-" + r.Version + "-" + r.Library
}
