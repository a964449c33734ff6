// Package caddymodule makes the gate a part of Caddy v2: the handler http.handlers.approov, in a Caddyfile the
// directive approov; the matcher http.matchers.approov; and admin.api.approov, which is /approov/ at Caddy's admin
// endpoint.
//
// It translates: Caddyfile blocks into the policy's tree (block.go), placeholders into references (tree.go), the
// gate's answers into Caddy's (handler.go). It decides nothing about requests. Gates are shared by all handlers and
// matchers of one policy, and live on when a new configuration has the same one (live.go); what belongs to a gate's
// name, which is control, counters and the report, outlives every configuration (station.go).
//
// Start reading at Handler.ServeHTTP.
package caddymodule
