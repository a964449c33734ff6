//go:build !linux

package sdk

import "github.com/approovgate/approovgate/attestapi"

// look knows no checks on this system.
func look(string, *attestapi.Rules) []string { return nil }
