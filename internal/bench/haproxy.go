package main

import (
	"context"
	_ "embed" // the configuration
	"encoding/base64"
	"io"
	"path/filepath"
)

// haproxyConfig is what HAProxy runs with: one thread, its connections to the upstream kept.
//
//go:embed haproxy.cfg
var haproxyConfig string

// haproxy is the role of HAProxy with the checks that its own language can express (HAProxy 2.6,
// Configuration Manual §7.3.1, jwt_verify). Its log is off, and it keeps its default bodies.
func haproxy(ctx context.Context, args []string, _ io.Reader, ready func(string)) error {
	return foreign(ctx, ready, func(dir, address string) (string, []string, error) {
		file := filepath.Join(dir, "haproxy.cfg")
		err := writeConfig(file, haproxyConfig, "ADDRESS", address, "UPSTREAM", args[0],
			"SECRET", base64.StdEncoding.EncodeToString([]byte(secret)))
		return "haproxy", []string{"-db", "-q", "-f", file}, err
	})
}
