// Package manage is the management API of the attestation service.
package manage

import (
	_ "github.com/danielgtaylor/huma/v2"
	_ "golang.org/x/time/rate"
)
