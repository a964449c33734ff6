// Command caddy is Caddy v2 with its standard modules and the gate: see package caddymodule. It takes the commands
// and flags of any Caddy.
package main

import (
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/approovgate/approovgate/caddymodule"
)

func main() { caddycmd.Main() }
