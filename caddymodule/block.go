package caddymodule

import (
	"errors"
	"fmt"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/approovgate/approovgate/config"
)

// parseHandler reads the directive. Syntax:
//
//	approov [<matcher>] {
//	    secret      {file./run/secrets/approov}    # an HS256 account secret in base64; or {env.NAME}
//	    bind        <header>...                    # what the token's pay is the hash of; kind:name for others
//	    policy_file <path>                         # all of the policy from a file; then nothing else
//	    <key>       <value>...                     # any key of the policy; several values are a list
//	    <key> {                                    # one that has keys of its own
//	        <key> <value>...
//	    }
//	    keys|routes <name> {                       # one entry of a list
//	        <key> <value>...
//	    }
//	}
func parseHandler(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	handler := new(Handler)
	return handler, handler.UnmarshalCaddyfile(h.Dispenser)
}

// UnmarshalCaddyfile reads a policy from a block: see parseHandler.
func (s *Source) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the directive, or the matcher's name
	b := &block{d: d, places: map[string]place{"": here(d)}, later: map[string]bool{}}
	if d.NextArg() {
		return d.Errf("unexpected argument %q; write the policy into a block: approov { … }", d.Val())
	}
	tree, err := b.read("")
	if err != nil {
		return err
	}
	if file, there := tree["policy_file"]; there {
		path, isOne := file.(string)
		if !isOne || len(tree) > 1 {
			return b.error("policy_file", "must be one path, and stands for all other keys; move them into that file")
		}
		s.PolicyFile = path
		return nil
	}
	if len(tree) == 0 {
		return b.error("", "the block is missing; say at least where the secret is: approov { secret {file./run/secrets/approov} }")
	}
	s.Policy = tree
	return b.judge(tree)
}

// place is where in the Caddyfile something stands.
type place struct {
	file string
	line int
}

func here(d *caddyfile.Dispenser) place { return place{d.File(), d.Line()} }

// block makes a policy's tree of a Caddyfile's block.
type block struct {
	d      *caddyfile.Dispenser
	places map[string]place // of keys, by path
	later  map[string]bool  // paths of values that are only known when the configuration is loaded
}

// read reads the block that begins here into a tree for a path.
func (b *block) read(path string) (map[string]any, error) {
	tree := map[string]any{}
	for nesting := b.d.Nesting(); b.d.NextBlock(nesting); {
		if err := b.entry(tree, path, b.d.Val()); err != nil {
			return nil, err
		}
	}
	return tree, nil
}

// entry reads what follows a key.
func (b *block) entry(tree map[string]any, path, key string) error {
	at := here(b.d)
	args := b.d.RemainingArgs()
	below := config.Join(path, key)
	if key == "bind" {
		below = config.Join(path, "binding")
	}
	named := path == "" && (key == "keys" || key == "routes")
	if named {
		below = next(tree, key)
	}
	b.places[below] = at
	switch {
	case key == "secret" && path == "":
		return b.secret(tree, args, at)
	case key == "bind":
		return b.bind(tree, below, args)
	}
	values, err := b.read(below)
	switch {
	case err != nil:
		return err
	case named:
		return b.named(tree, key, below, args, values)
	case tree[key] != nil:
		return b.error(below, "is set twice; write several values on one line")
	case len(args) > 0 && len(values) > 0:
		return b.error(below, "takes values or a block, not both; only keys and routes have a name in front of their block")
	case len(values) > 0:
		tree[key] = values
	case len(args) == 0:
		return b.error(below, "has no value")
	case len(args) == 1:
		tree[key] = args[0]
	default:
		tree[key] = list(args)
	}
	b.note(below, args)
	return nil
}

// named takes an entry of keys or routes.
func (b *block) named(tree map[string]any, key, path string, args []string, values map[string]any) error {
	if len(args) != 1 || len(values) == 0 {
		return b.error(path, "must be a name and a block: "+key+" NAME { … }")
	}
	name := config.Join(path, "name")
	if values["name"] != nil {
		return b.error(name, "stands in front of the block already; delete it here")
	}
	values["name"] = args[0]
	b.note(name, args)
	b.add(tree, key, values)
	return nil
}

// next is the path of the next entry of a list.
func next(tree map[string]any, key string) string {
	entries, _ := tree[key].([]any)
	return fmt.Sprintf("%s[%d]", key, len(entries))
}

// add appends an entry to a list.
func (b *block) add(tree map[string]any, key string, entry map[string]any) {
	entries, _ := tree[key].([]any)
	tree[key] = append(entries, entry)
}

// secret reads the shorthand for a key of the account's secret.
func (b *block) secret(tree map[string]any, args []string, at place) error {
	if len(args) != 1 {
		return b.error("secret", "must be one reference: {file./run/secrets/approov}, {env.APPROOV_SECRET}, file:PATH or env:NAME")
	}
	if name, mistaken := strings.CutPrefix(args[0], "{http.request.uri.path.file."); mistaken {
		name = strings.TrimSuffix(name, "}")
		return b.error("secret", "Caddy takes {file."+name+"} for a part of the request's path; write {file./PATH} from the root, or file:"+name)
	}
	if _, ok := referenceOf(args[0]); !ok && !strings.HasPrefix(args[0], "file:") && !strings.HasPrefix(args[0], "env:") {
		return b.error("secret", "must be a reference such as {file./run/secrets/approov} or {env.APPROOV_SECRET}; a secret written here would be stored in Caddy's configuration and shown by its admin endpoint")
	}
	b.places[next(tree, "keys")] = at
	b.add(tree, "keys", map[string]any{"name": "account", "alg": "HS256", "secret": args[0]})
	return nil
}

// bind reads the shorthand for the binding at a path, of the whole policy or of a route.
func (b *block) bind(tree map[string]any, path string, args []string) error {
	if tree["binding"] != nil {
		return b.error(path, "is set twice; bind and binding are the same")
	}
	if len(args) == 0 {
		return b.error(path, "bind needs the name of at least one header, such as Authorization")
	}
	from := make([]any, 0, len(args))
	for _, name := range args {
		if !strings.Contains(name, ":") {
			name = "header:" + name
		}
		from = append(from, name)
	}
	b.note(path, args)
	tree["binding"] = map[string]any{"from": from}
	return nil
}

// note notes values that are only known when the configuration is loaded.
func (b *block) note(path string, args []string) {
	for _, arg := range args {
		if fromOutside.MatchString(arg) {
			b.later[path] = true
		}
	}
}

func list(args []string) []any {
	all := make([]any, 0, len(args))
	for _, arg := range args {
		all = append(all, arg)
	}
	return all
}

// judge looks for mistakes while their lines are known. What depends on the machine is judged when the
// configuration is loaded, and so is what depends on values from outside.
func (b *block) judge(tree map[string]any) error {
	referred, err := resolveValue("", "", tree, asWritten)
	if err != nil {
		return err // asWritten has no errors
	}
	_, problems := config.Decode(referred.(map[string]any))
	var all []error
	for _, problem := range problems {
		if !problem.Warning && !b.isLater(problem.Path) {
			all = append(all, b.error(problem.Path, problem.Text))
		}
	}
	return errors.Join(all...)
}

// isLater reports whether a path, or what it is part of, is only known later.
func (b *block) isLater(path string) bool {
	for ; path != ""; path = above(path) {
		if b.later[path] {
			return true
		}
	}
	return false
}

// error is a problem as Caddy shows those of a Caddyfile, with the line of the key it is about, or of what that is
// part of.
func (b *block) error(path, text string) error {
	known := path
	for b.places[known] == (place{}) && known != "" {
		known = above(known)
	}
	if path != "" {
		text = path + ": " + text
	}
	return fmt.Errorf("approov: %s, at %s:%d", text, b.places[known].file, b.places[known].line)
}

// above is the path of what a path is part of.
func above(path string) string {
	return path[:max(strings.LastIndexAny(path, ".["), 0)]
}
