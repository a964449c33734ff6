package traefikplugin

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net"
	"sort"
	"strconv"
	"strings"

	"github.com/approovgate/approovgate/config"
	"github.com/approovgate/approovgate/gate"
	"github.com/approovgate/approovgate/source"
)

// setup is what a middleware's configuration asks for.
type setup struct {
	id      string // tells one configuration from another
	metrics string // address of the listener for Prometheus; empty: none
	file    string // path of the policy; empty: it is the tree
	tree    map[string]interface{}
	short   string // the shorthand that stands for keys[0]; empty: none

	// The rest is load's, which the gate calls once at a time.
	decoded  bool // what follows is what text or tree says
	text     string
	policy   config.Policy
	problems []config.Problem
}

// readConfig takes a middleware's configuration apart. What is not one of the following is the gate policy's.
//
//	secretFile  path of the account secret's file: short for one HS256 key "account" in base64; no default
//	secretEnv   the environment variable that holds it: likewise
//	policyFile  path of the whole policy as JSON; nothing but metrics may stand beside it
//	metrics     host:port of a listener of the plugin's own for Prometheus; default none
func readConfig(c Config) (*setup, []config.Problem) {
	s := &setup{tree: map[string]interface{}{}}
	var problems []config.Problem
	refuse := func(field, text string) { problems = append(problems, config.Problem{Path: field, Text: text}) }
	own := map[string]string{}
	for key, value := range c {
		if key != "secretFile" && key != "secretEnv" && key != "policyFile" && key != "metrics" {
			s.tree[key] = separate(key, value)
			continue
		}
		text, ok := value.(string)
		if !ok || text == "" {
			refuse(key, "must be a string that is not empty; give it a value or delete it")
		}
		own[key] = text
	}
	s.metrics, s.file = own["metrics"], own["policyFile"]
	if s.metrics != "" && !isAddress(s.metrics) {
		refuse("metrics", "must be host:port, such as 127.0.0.1:9902")
	}
	for _, path := range []string{"policyFile", "secretFile"} {
		if strings.HasPrefix(own[path], "file:") {
			refuse(path, "must be a plain path, without file: in front")
		}
	}
	for short, scheme := range map[string]string{"secretFile": "file:", "secretEnv": "env:"} {
		if own[short] == "" {
			continue
		}
		if _, set := c["keys"]; set || s.short != "" {
			refuse(short, "stands for the one key of the policy; delete it or the others (keys, secretFile, secretEnv)")
			continue
		}
		s.short = short
		s.tree["keys"] = []interface{}{map[string]interface{}{"name": "account", "alg": "HS256", "secret": scheme + own[short]}}
	}
	if s.file != "" && len(s.tree) > 0 {
		refuse("policyFile", "holds the whole policy; delete what stands beside it, or the file's name")
	}
	problems = append(problems, inlineSecrets("", s.tree)...)
	sort.Slice(problems, func(i, j int) bool { return problems[i].Path < problems[j].Path })
	text, err := json.Marshal(map[string]interface{}(c))
	if err != nil {
		refuse("", "the configuration cannot be read; write it with strings, numbers, lists and maps alone")
	}
	sum := sha256.Sum256(text)
	s.id = hex.EncodeToString(sum[:])
	return s, problems
}

func isAddress(text string) bool {
	_, port, err := net.SplitHostPort(text)
	if err != nil {
		return false
	}
	n, err := strconv.Atoi(port)
	return err == nil && n >= 0 && n <= 65535
}

// lists are the policy's keys that hold lists of strings.
var lists = map[string]bool{"hosts": true, "methods": true, "paths": true, "keys": true, "algs": true, "from": true,
	"deny_annotations": true, "deny_issuers": true, "allow_issuers": true}

// separate makes lists of strings with commas, as Traefik does everywhere: labels know nothing else.
func separate(key string, value interface{}) interface{} {
	switch v := value.(type) {
	case string:
		if lists[key] && v == "" {
			return []interface{}{} // what Traefik makes of an empty list in a file
		}
		if lists[key] && strings.IndexByte(v, ',') >= 0 {
			var all []interface{}
			for _, part := range strings.Split(v, ",") {
				all = append(all, strings.TrimSpace(part))
			}
			return all
		}
	case []interface{}:
		all := make([]interface{}, 0, len(v))
		for _, item := range v {
			if _, text := item.(string); !text {
				item = separate(key, item)
			}
			all = append(all, item)
		}
		return all
	case map[string]interface{}:
		all := map[string]interface{}{}
		for name, item := range v {
			all[name] = separate(name, item)
		}
		return all
	}
	return value
}

// inlineSecrets refuses secrets that are written out in a tree.
func inlineSecrets(path string, value interface{}) []config.Problem {
	var problems []config.Problem
	switch v := value.(type) {
	case []interface{}:
		for i, item := range v {
			problems = append(problems, inlineSecrets(path+"["+strconv.Itoa(i)+"]", item)...)
		}
	case map[string]interface{}:
		for name, item := range v {
			text, _ := item.(string)
			if strings.HasPrefix(text, "inline:") && (name == "secret" || name == "token" || name == "seal") {
				problems = append(problems, config.Problem{Path: config.Join(path, name),
					Text: "an inline secret is refused here, because Traefik shows the configuration of plugins in its API and its debug log; use file:PATH or env:NAME"})
			}
			problems = append(problems, inlineSecrets(config.Join(path, name), item)...)
		}
	}
	return problems
}

// load reads the policy, for gate.Options.Load. One that has not changed is not decoded again.
func (s *setup) load() (config.Policy, []config.Problem) {
	if s.file != "" {
		s.read()
	} else if !s.decoded {
		s.policy, s.problems = config.Decode(s.tree)
		s.decoded = true
	}
	problems := append([]config.Problem(nil), s.problems...)
	return s.policy, problems
}

// read reads the policy's file.
func (s *setup) read() {
	text, _, err := source.Read("file:" + s.file)
	if err != nil {
		s.decoded = false
		s.problems = []config.Problem{{Path: "policyFile", Text: err.Error()}}
		return
	}
	if s.decoded && string(text) == s.text {
		return
	}
	tree, problems := gate.ParseJSON(text)
	if !config.Failed(problems) {
		s.policy, problems = config.Decode(tree)
	}
	s.problems = problems
	s.text = string(text)
	s.decoded = true
}

// place puts problems of the policy where the user wrote what they are about.
func (s *setup) place(problems []config.Problem) []config.Problem {
	placed := make([]config.Problem, 0, len(problems))
	for _, p := range problems {
		if s.short != "" && strings.HasPrefix(p.Path, "keys[0]") {
			p.Path = s.short
		} else if s.file != "" && p.Path != "policyFile" {
			p.Path = strings.TrimRight(s.file+": "+p.Path, ": ")
		}
		placed = append(placed, p)
	}
	return placed
}

// oneLine is the problems that are errors, or those that are warnings, in one line.
func oneLine(problems []config.Problem, warnings bool) string {
	var all []string
	for _, p := range problems {
		if p.Warning == warnings {
			all = append(all, strings.ReplaceAll(p.String(), "\n", " "))
		}
	}
	return strings.Join(all, "; ")
}
