package caddymodule

import (
	"encoding/json"
	"net"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/modules/standard"
)

type tree = map[string]any

// freeAddress is an address that nobody listens on at the moment.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// load makes this process's Caddy run a configuration.
func load(config any) error {
	text, err := json.Marshal(config)
	if err != nil {
		return err
	}
	return caddy.Load(text, true)
}

// quiet is a configuration without an admin endpoint and with a log that says nothing, of one server.
func quiet(address string, routes ...any) tree {
	return tree{
		"admin":   tree{"disabled": true, "config": tree{"persist": false}},
		"logging": tree{"logs": tree{"default": tree{"writer": tree{"output": "discard"}}}},
		"apps":    tree{"http": tree{"grace_period": "1ms", "servers": tree{"api": tree{"listen": []any{address}, "routes": routes, "automatic_https": tree{"disable": true}}}}},
	}
}

// adapt makes JSON of a Caddyfile.
func adapt(t testing.TB, caddyfile string) ([]byte, error) {
	t.Helper()
	text, warnings, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(caddyfile), tree{"filename": "Caddyfile"})
	for _, warning := range warnings {
		if !strings.Contains(warning.Message, "formatted") {
			t.Errorf("adapt: got warning %s, want none", warning)
		}
	}
	return text, err
}
