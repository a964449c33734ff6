package caddymodule

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/approovgate/approovgate/config"
)

// referring are the keys of a policy whose values are references, wherever they stand: of them the gate reads
// {file.PATH} and {env.NAME} itself, again and again, and judges a file's permissions.
var referring = map[string]bool{"secret": true, "public_key": true, "jwks": true, "token": true, "seal": true, "keys": true}

// fromOutside are the placeholders that may stand in a policy. Everything else in braces is a text of its own, such
// as JSON in respond.body.
var fromOutside = regexp.MustCompile(`\{(file|env)\.[^{}]+\}`)

// resolve is a policy's tree with its placeholders replaced. An error names the key.
func resolve(tree map[string]any) (map[string]any, error) {
	resolved, err := resolveValue("", "", tree, expand)
	if err != nil {
		return nil, err
	}
	out, _ := resolved.(map[string]any)
	return out, nil
}

// resolveValue resolves the value of a key at a path. expand replaces what is no reference.
func resolveValue(path, key string, value any, expand func(path, text string) (string, error)) (any, error) {
	switch v := value.(type) {
	case string:
		if reference, ok := referenceOf(v); ok && referring[key] {
			return reference, nil
		}
		return expand(path, v)
	case map[string]any:
		out := make(map[string]any, len(v))
		for name, one := range v {
			resolved, err := resolveValue(config.Join(path, name), name, one, expand)
			if err != nil {
				return nil, err
			}
			out[name] = resolved
		}
		return out, nil
	case []any:
		out := make([]any, 0, len(v))
		for i, one := range v {
			resolved, err := resolveValue(fmt.Sprintf("%s[%d]", path, i), key, one, expand)
			if err != nil {
				return nil, err
			}
			out = append(out, resolved)
		}
		return out, nil
	}
	return value, nil
}

// referenceOf is a placeholder that stands alone as the reference it means.
func referenceOf(text string) (string, bool) {
	if fromOutside.FindString(text) != text || text == "" {
		return "", false
	}
	kind, name, _ := strings.Cut(text[1:len(text)-1], ".")
	return kind + ":" + name, true
}

// asWritten leaves a text as it is.
func asWritten(_, text string) (string, error) { return text, nil }

// expand replaces placeholders in a text. One that stands for nothing is an error: an empty value could mean less
// protection.
func expand(path, text string) (string, error) {
	var failed error
	replacer := caddy.NewReplacer()
	out := fromOutside.ReplaceAllStringFunc(text, func(placeholder string) string {
		value, err := replacer.ReplaceOrErr(placeholder, true, true)
		if err != nil && failed == nil {
			failed = fmt.Errorf("%s: %w", path, err)
		}
		return value
	})
	return out, failed
}
