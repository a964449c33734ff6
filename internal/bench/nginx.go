package main

import (
	"cmp"
	"context"
	_ "embed" // the configuration
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// nginxConfig is what nginx runs with: one process, and what [njs] adds to it.
//
//go:embed nginx.conf
var nginxConfig string

// njsScript is the check that njs makes.
//
//go:embed njs.js
var njsScript string

// njsModule is where Debian's package puts the module.
const njsModule = "/usr/lib/nginx/modules/ngx_http_js_module.so"

// nginx is the role of nginx as a bare reverse proxy.
func nginx(ctx context.Context, args []string, _ io.Reader, ready func(string)) error {
	return foreign(ctx, ready, func(dir, address string) (string, []string, error) {
		return startNginx(dir, address, args[0], "", "", "")
	})
}

// njs is the role of nginx that has njs check the token (nginx.org, ngx_http_js_module, js_set).
func njs(ctx context.Context, args []string, _ io.Reader, ready func(string)) error {
	return foreign(ctx, ready, func(dir, address string) (string, []string, error) {
		script := filepath.Join(dir, "njs.js")
		name, arguments, err := startNginx(dir, address, args[0], fmt.Sprintf("load_module %s;", njsModule),
			fmt.Sprintf("js_import check from %s; js_set $genuine check.genuine;", script), `if ($genuine = "") { return 401; }`)
		return name, arguments, errors.Join(err, writeConfig(script, njsScript, "SECRET", secret))
	})
}

func startNginx(dir, address, upstream, module, script, check string) (string, []string, error) {
	file := filepath.Join(dir, "nginx.conf")
	err := writeConfig(file, nginxConfig, "DIR", dir, "ADDRESS", address, "UPSTREAM", upstream,
		"MODULE", module, "SCRIPT", script, "CHECK", check)
	return "nginx", []string{"-p", dir, "-e", "stderr", "-c", file}, err
}

// njsThere says why njs cannot be measured, if so.
func njsThere() error {
	_, program := lookProgram("nginx")
	_, module := os.Stat(njsModule)
	return cmp.Or(program, module)
}
