package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// Where make caddy, make traefik and make traefik-bundle put what is measured under -hosts.
const (
	caddyProgram   = ".cache/caddy"
	traefikProgram = ".cache/traefik"
	traefikPlugins = "dist/plugins-local"
)

const (
	bareCaddy   = "caddy-bare"
	gateCaddy   = "caddy"
	bareTraefik = "traefik-bare"
	gateTraefik = "traefik"
)

// newHosts are Caddy and Traefik, each without the gate and with it.
func newHosts() []system {
	built := func(paths ...string) func() error {
		return func() error {
			for _, path := range paths {
				if _, err := os.Stat(path); err != nil {
					return err
				}
			}
			return nil
		}
	}
	const caddy, traefik = "make caddy builds it", "make traefik traefik-bundle builds it"
	return []system{
		{role: bareCaddy, had: caddy, there: built(caddyProgram)},
		{role: gateCaddy, checks: true, had: caddy, there: built(caddyProgram)},
		{role: bareTraefik, had: traefik, there: built(traefikProgram)},
		{role: gateTraefik, checks: true, had: traefik, there: built(traefikProgram, traefikPlugins)},
	}
}

// newHostGoals are what the gate may cost in other servers. A refused request saves the way to the upstream, and
// that must be worth more than what refusing takes.
func newHostGoals() []goal {
	return []goal{
		{figure: costFigure, of: at{validGroup, gateCaddy}, to: at{validGroup, bareCaddy}, atMost: 1.05},
		{figure: costFigure, of: at{badGroup, gateCaddy}, to: at{validGroup, gateCaddy}, atMost: 1},
		{figure: costFigure, of: at{validGroup, gateTraefik}, to: at{validGroup, bareTraefik}, atMost: 1.4},
		{figure: costFigure, of: at{validGroup, gateTraefik}, to: at{validGroup, bareTraefik}, atMost: 1.2, aim: true},
		{figure: costFigure, of: at{badGroup, gateTraefik}, to: at{validGroup, gateTraefik}, atMost: 1},
	}
}

// hostPolicy is the policy of the measurement with its secret in a file, which it writes.
func hostPolicy(dir string) (map[string]any, error) {
	file := filepath.Join(dir, "secret")
	tree := policy()
	tree["keys"].([]any)[0].(map[string]any)["secret"] = "file:" + file
	return tree, os.WriteFile(file, []byte(secret), 0o600)
}

// caddy is the role of Caddy as it comes, behind the gate's handler or not. Its log is written, to nowhere.
func caddy(gated bool) role {
	return func(ctx context.Context, args []string, _ io.Reader, ready func(string)) error {
		return foreign(ctx, ready, func(dir, address string) (string, []string, error) {
			handlers := []any{map[string]any{"handler": "reverse_proxy", "upstreams": []any{map[string]any{"dial": args[0]}}}}
			if gated {
				tree, err := hostPolicy(dir)
				if err != nil {
					return "", nil, err
				}
				handlers = append([]any{map[string]any{"handler": "approov", "policy": tree}}, handlers...)
			}
			file, err := writeJSON(dir, "caddy.json", map[string]any{
				"admin":   map[string]any{"disabled": true, "config": map[string]any{"persist": false}},
				"storage": map[string]any{"module": "file_system", "root": filepath.Join(dir, "storage")},
				"logging": map[string]any{"logs": map[string]any{"default": map[string]any{"writer": map[string]any{"output": "discard"}}}},
				"apps": map[string]any{"http": map[string]any{"servers": map[string]any{"api": map[string]any{
					"listen": []any{address}, "routes": []any{map[string]any{"handle": handlers}}, "automatic_https": map[string]any{"disable": true},
				}}}},
			})
			return caddyProgram, []string{"run", "--config", file}, err
		})
	}
}

// traefik is the role of Traefik as it comes, with the plugin as a middleware or without.
func traefik(gated bool) role {
	return func(ctx context.Context, args []string, _ io.Reader, ready func(string)) error {
		return foreign(ctx, ready, func(dir, address string) (string, []string, error) {
			router := map[string]any{"rule": "PathPrefix(`/`)", "service": "api", "entryPoints": []any{"api"}}
			dynamic := map[string]any{
				"routers":  map[string]any{"api": router},
				"services": map[string]any{"api": map[string]any{"loadBalancer": map[string]any{"servers": []any{map[string]any{"url": "http://" + args[0]}}}}},
			}
			static := map[string]any{
				"global":      map[string]any{"checkNewVersion": false, "sendAnonymousUsage": false},
				"log":         map[string]any{"level": "ERROR"},
				"entryPoints": map[string]any{"api": map[string]any{"address": address}},
				"providers":   map[string]any{"file": map[string]any{"filename": filepath.Join(dir, "dynamic.yml")}},
			}
			if gated {
				tree, err := hostPolicy(dir)
				if err != nil {
					return "", nil, err
				}
				if err := linkPlugins(dir); err != nil {
					return "", nil, err
				}
				static["experimental"] = map[string]any{"abortOnPluginFailure": true, "localPlugins": map[string]any{
					"approov": map[string]any{"moduleName": "github.com/approovgate/approovgate"}}}
				router["middlewares"] = []any{"approov"}
				dynamic["middlewares"] = map[string]any{"approov": map[string]any{"plugin": map[string]any{"approov": tree}}}
			}
			if _, err := writeJSON(dir, "dynamic.yml", map[string]any{"http": dynamic}); err != nil {
				return "", nil, err
			}
			file, err := writeJSON(dir, "traefik.yml", static)
			return traefikProgram, []string{"--configFile=" + file}, err
		})
	}
}

// linkPlugins puts the plugin where Traefik looks for it: below the folder it is started in.
func linkPlugins(dir string) error {
	plugins, err := filepath.Abs(traefikPlugins)
	if err != nil {
		return err
	}
	return os.Symlink(plugins, filepath.Join(dir, "plugins-local"))
}

// writeJSON writes a configuration as JSON, which YAML is, too.
func writeJSON(dir, name string, tree any) (file string, err error) {
	text, err := json.Marshal(tree)
	if err != nil {
		return "", fmt.Errorf("%s: %w", name, err)
	}
	file = filepath.Join(dir, name)
	return file, os.WriteFile(file, text, 0o600)
}
