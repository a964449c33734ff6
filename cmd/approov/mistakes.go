package main

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/approovgate/approovgate/internal/manageclient"
)

// wrongOrder says what is wrong with a command line that does not begin with a verb, if another word of it is one. It
// repeats nothing of what stands in the verb's place, which may be a token. A mistyped verb is in the right place.
func wrongOrder(args []string) error {
	if didYouMean(args[0], verbNames(append(verbs(), local()...))) != "" {
		return nil
	}
	at := slices.IndexFunc(args, func(word string) bool { return slices.Contains(verbNames(verbs()), word) })
	switch {
	case at > 0:
		return misuse{fmt.Errorf("the verb comes first, then the management token's file, then the action: approov %s [TOKEN] -ACTION", args[at])}
	case strings.HasPrefix(args[0], "-"):
		return misuse{fmt.Errorf("the verb comes first: approov VERB %s; \"approov help\" lists the verbs", shown(args[0]))}
	case manageclient.CheckToken(args[0]) == nil:
		return misuse{fmt.Errorf("the verb comes first; and a management token is no argument, which others can see: put it into a file or into %s", tokenEnv)}
	}
	return nil
}

// undashed says what is meant by a word that stands where the management token's file does, or behind it, and is a
// flag's name. A file of that name is a file.
func (v verb) undashed(word string) error {
	if _, err := os.Lstat(word); err == nil || strings.ContainsAny(word, `./\`) || word == "" {
		return nil
	}
	var names []string
	for _, o := range v.ownOptions() {
		if o.name == word {
			return misuse{fmt.Errorf("%s begins with a dash: approov %s %s", o.usage(), v.name, o.usage())}
		}
		names = append(names, o.name)
	}
	if near := didYouMean(word, names); near != "" {
		return misuse{fmt.Errorf("there is no file %q with a management token%s \"approov %s -h\" lists the flags", shown(word),
			strings.Replace(near, "mean ", "mean -", 1), v.name)}
	}
	return nil
}
