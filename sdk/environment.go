package sdk

import (
	"slices"
	"strings"

	"github.com/approovgate/approovgate/attestapi"
)

// The bounds of rules.
const (
	maxNames = 1000
	maxName  = 256 // bytes
)

// learn takes over rules that the service has sent. What it may not ask for is left out.
func (c *Client) learn(rules *attestapi.Rules) {
	if rules == nil {
		return
	}
	usable := &attestapi.Rules{Version: rules.Version, Names: map[string]string{}}
	for _, check := range []string{attestapi.CheckTracer, attestapi.CheckPreload, attestapi.CheckLoaded, attestapi.CheckRoot} {
		if slices.Contains(rules.Checks, check) {
			usable.Checks = append(usable.Checks, check)
		}
	}
	allowed := attestapi.ReportedFlags()
	for name, flag := range rules.Names {
		if name != "" && len(name) <= maxName && len(usable.Names) < maxNames && slices.Contains(allowed, flag) {
			usable.Names[strings.ToLower(name)] = flag
		}
	}
	c.rules.Store(usable)
}

// inspect looks at the environment as the rules say, and returns the flags it found, sorted. It takes well under a
// millisecond. It is software that looks at the machine it runs on: whoever controls that machine can have it see
// nothing. It notices common tools in the hands of those who do not care to hide them.
//
// On Linux and Android there are checks; on other systems there are none, and nothing is found.
func inspect(rules *attestapi.Rules) []string {
	if rules == nil {
		return nil
	}
	var flags []string
	for _, check := range rules.Checks {
		flags = append(flags, look(check, rules)...)
	}
	slices.Sort(flags)
	return slices.Compact(flags)
}

// loaded are the flags of the files that are mapped into the process: the path of each in lower case ends in a name
// that has one of the rules' names in it.
func loaded(maps string, names map[string]string) (flags []string) {
	for line := range strings.Lines(maps) {
		at := strings.IndexByte(line, '/')
		if at < 0 {
			continue
		}
		path := strings.ToLower(strings.TrimSpace(line[at:]))
		file := path[strings.LastIndexByte(path, '/')+1:]
		for name, flag := range names {
			if strings.Contains(file, name) {
				flags = append(flags, flag)
			}
		}
	}
	return flags
}

// traced reports whether the text of /proc/self/status names a tracer (proc(5), TracerPid).
func traced(status string) bool {
	for line := range strings.Lines(status) {
		if value, ok := strings.CutPrefix(line, "TracerPid:"); ok {
			value = strings.TrimSpace(value)
			return value != "" && value != "0"
		}
	}
	return false
}

// preloaded reports whether the text of /proc/self/environ has a LD_PRELOAD.
func preloaded(environ string) bool {
	for variable := range strings.SplitSeq(environ, "\x00") {
		if value, ok := strings.CutPrefix(variable, "LD_PRELOAD="); ok && value != "" {
			return true
		}
	}
	return false
}
