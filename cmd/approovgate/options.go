package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/approovgate/approovgate/config"
	"github.com/approovgate/approovgate/internal/testclock"
	"github.com/approovgate/approovgate/proxy"
)

// options are the flags of run and check. Either config is set or the others.
type options struct {
	config   string
	listen   string
	upstream string
	secret   string // a reference, never the secret
	status   string
	header   string
}

// parse reads flags. Its errors are wrong usage; what the flags' values mean is judged with the rest of
// the configuration.
func parse(args []string) (options, error) {
	var o options
	flags := newFlags("run")
	flags.StringVar(&o.config, "config", "", "")
	flags.StringVar(&o.listen, "listen", "", "")
	flags.StringVar(&o.upstream, "upstream", "", "")
	flags.StringVar(&o.secret, "secret", "", "")
	flags.StringVar(&o.status, "status", "", "")
	flags.StringVar(&o.header, "header", "", "")
	if err := parseFlags(flags, args, "approovgate help"); err != nil {
		return options{}, err
	}
	if flags.NArg() > 0 {
		return options{}, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	return o, o.usable()
}

// usable reports flags that do not go together.
func (o options) usable() error {
	alone := o
	alone.config = ""
	switch {
	case o.config != "" && alone != options{}:
		return errors.New("--config stands for all other flags; write their values into the file")
	case o.config != "":
		return nil
	case o.listen == "" || o.upstream == "" || o.secret == "":
		return errors.New("give --config FILE, or all of --listen, --upstream and --secret")
	case !strings.HasPrefix(o.secret, "env:") && !strings.HasPrefix(o.secret, "file:"):
		return errors.New("--secret must be env:NAME or file:PATH; a secret on the command line shows in ps and in the shell's history")
	}
	return nil
}

// proxy is the proxy that the flags ask for, not loaded yet.
func (o options) proxy() *proxy.Proxy {
	if o.config != "" {
		return &proxy.Proxy{File: o.config, Now: testclock.Clock()}
	}
	return &proxy.Proxy{Tree: o.tree(), Now: testclock.Clock()}
}

// tree is the gate file that would mean the same as the flags.
func (o options) tree() map[string]any {
	policy := map[string]any{"keys": []any{map[string]any{"name": "account", "alg": "HS256", "secret": o.secret}}}
	if o.header != "" {
		policy["token"] = map[string]any{"header": o.header}
	}
	tree := map[string]any{"listen": o.listen, "upstream": o.upstream, "policy": policy}
	if o.status != "" {
		tree["status"] = o.status
	}
	return tree
}

// flagOf names the flag behind a path of the tree above.
var flagOf = []struct{ path, flag string }{
	{"listen", "--listen"}, {"upstream", "--upstream"}, {"status", "--status"},
	{"policy.keys[0]", "--secret"}, {"policy.token.header", "--header"},
}

// line is a problem as it is printed: how bad, where, what and the fix.
func (o options) line(p config.Problem) string {
	severity := "error: "
	if p.Warning {
		severity = "warning: "
	}
	if o.config == "" {
		for _, known := range flagOf {
			if strings.HasPrefix(p.Path, known.path) {
				p.Path = known.flag
				break
			}
		}
	}
	return severity + p.String()
}
