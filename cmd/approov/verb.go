package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/approovgate/approovgate/internal/manageclient"
)

// option is a flag.
type option struct {
	name  string
	value string // what its value is called; empty: it has none
	about string // one line
}

// action is a flag that says what to do. The one without a name is done when no other is given.
type action struct {
	option
	needs []string // names of options that must go with it
	takes []string // names of options that may
	do    func(*call) error
}

// verb is what a command line begins with.
type verb struct {
	name    string
	about   string // one line
	actions []action
	options []option
	alone   func(*call) bool // whether a call does without the server, or connects by itself; nil: none does

	operand  string   // what is acted on, in place of an action's value; empty: nothing
	operands []option // the forms that it may have
}

// commonOptions go with every action; usageTail explains them.
func commonOptions() []option {
	return []option{{"server", "URL", ""}, {"ca", "FILE", ""}, {"json", "", ""}, {"yes", "", ""}, {"dryRun", "", ""}}
}

// call is a command line that has been read.
type call struct {
	*console
	action    action
	given     map[string]string // flags, by name
	tokenFile string            // of the management token; empty: it is from the environment
	operand   string            // empty unless the verb has one
	api       *manageclient.Client
}

// open makes the client for the server that the flags name.
func (c *call) open() (err error) {
	c.api, err = c.connect(c.tokenFile, c.text("server"), c.text("ca"))
	return err
}

// text is a flag's value; empty: it is not given.
func (c *call) text(name string) string { return c.given[name] }

func (c *call) has(name string) bool { _, has := c.given[name]; return has }

// value is the value of the action's flag.
func (c *call) value() string { return c.given[c.action.name] }

// number is the value of a flag that must be a whole number above zero; 0: it is not given.
func (c *call) number(name string) (int64, error) {
	if !c.has(name) {
		return 0, nil
	}
	n, err := strconv.ParseInt(c.text(name), 10, 64)
	if err != nil || n < 1 {
		return 0, misuse{fmt.Errorf("-%s must be a number such as 100, is %q", name, shown(c.text(name)))}
	}
	return n, nil
}

// perform reads a verb's arguments and does what they say.
func (c *console) perform(v verb, args []string) error {
	tokenFile, operand, args := v.positional(args)
	if tokenFile != "" {
		if err := v.undashed(tokenFile); err != nil {
			return err
		}
	}
	parsed, err := v.parse(args)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprint(c.stdout, v.help())
		return nil
	}
	if err != nil {
		return misuse{err}
	}
	if v.operand != "" && operand == "" {
		return misuse{fmt.Errorf("%s: say what: approov %s [TOKEN] %s", v.name, v.name, v.operand)}
	}
	parsed.console, parsed.operand, parsed.tokenFile = c, operand, tokenFile
	if v.alone == nil || !v.alone(parsed) {
		if err := parsed.open(); err != nil {
			return err
		}
		defer parsed.api.Close()
	}
	err = parsed.action.do(parsed)
	if _, says := errors.AsType[while](err); err != nil && !says {
		err = while{err, "doing " + v.name + " -" + parsed.action.name}
	}
	return err
}

// positional takes off what stands before the flags: the management token's file, and the operand of a verb that has
// one. A single one is the operand then. The operand may also stand behind the flags.
func (v verb) positional(args []string) (tokenFile, operand string, flags []string) {
	before := 0
	for before < len(args) && before < 2 && (!strings.HasPrefix(args[before], "-") || args[before] == "-") {
		before++
	}
	last := len(args) - 1
	switch {
	case v.operand == "":
		if before > 0 && args[0] != "-" {
			return args[0], "", args[1:]
		}
		return "", "", args
	case before == 2:
		return args[0], args[1], args[2:]
	case last >= before && (!strings.HasPrefix(args[last], "-") || args[last] == "-") && !v.takesValue(args[last-1]):
		operand, args = args[last], args[:last]
		if before == 1 {
			return args[0], operand, args[1:]
		}
		return "", operand, args
	case before == 1:
		return "", args[0], args[1:]
	}
	return "", "", args
}

// takesValue reports whether an argument is a flag whose value comes next.
func (v verb) takesValue(argument string) bool {
	for _, o := range v.allOptions() {
		if o.value != "" && strings.HasPrefix(argument, "-") && strings.TrimLeft(argument, "-") == o.name {
			return true
		}
	}
	return false
}

// flagValue notes a flag; given twice it is an error, because one of the two would be lost.
type flagValue struct {
	option
	given map[string]string
}

func (f *flagValue) String() string   { return "" }
func (f *flagValue) IsBoolFlag() bool { return f.value == "" }

func (f *flagValue) Set(text string) error {
	if _, twice := f.given[f.name]; twice {
		return errors.New("given twice")
	}
	switch {
	case f.value != "" && text == "":
		return errors.New("is empty; give " + f.value)
	case f.value == "" && text != "true":
		return errors.New("takes no value")
	}
	f.given[f.name] = text
	return nil
}

// parse reads flags. Its error is flag.ErrHelp or about the command line.
func (v verb) parse(args []string) (*call, error) {
	given := map[string]string{}
	flags := flag.NewFlagSet(v.name, flag.ContinueOnError)
	flags.SetOutput(io.Discard) // one message, printed by the caller
	known := map[string]option{}
	for _, o := range v.allOptions() {
		known[o.name] = o
		flags.Var(&flagValue{o, given}, o.name, "")
	}
	args, err := v.valuesFirst(args, known)
	if err != nil {
		return nil, err
	}
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return nil, err
	case err != nil:
		return nil, v.unparsed(err)
	case flags.NArg() > 0 && v.undashed(flags.Arg(0)) != nil:
		return nil, v.undashed(flags.Arg(0))
	case flags.NArg() > 0:
		return nil, fmt.Errorf("unexpected argument %q; the management token's file goes right after the verb; \"approov %s -h\" lists the flags", shown(flags.Arg(0)), v.name)
	}
	a, err := v.chosen(given)
	if err != nil {
		return nil, err
	}
	return &call{action: a, given: given}, nil
}

// valuesFirst moves the last argument behind a flag that lacks its value, as in the manual's
// approov sdk -getLibrary -libraryID 1039 FILE. The error names a flag that lacks it all the same, or one that is not
// known. A value that begins with a dash, such as a file's name, can be given behind =.
func (v verb) valuesFirst(args []string, known map[string]option) ([]string, error) {
	last := len(args) - 1
	for i := 0; i < last; i++ {
		o, isFlag := flagNamed(args[i], known)
		if !isFlag || o.value == "" {
			continue
		}
		switch _, nextIsFlag := flagNamed(args[i+1], known); {
		case nextIsFlag:
		case slices.Contains([]string{"-h", "-help", "--help"}, args[i+1]):
			return nil, flag.ErrHelp
		case len(args[i+1]) > 1 && strings.HasPrefix(args[i+1], "-"):
			return nil, v.unparsed(errors.New(undefinedFlag + strings.TrimLeft(args[i+1], "-")))
		default:
			i++ // its value
			continue
		}
		before, taken := flagNamed(args[last-1], known)
		if strings.HasPrefix(args[last], "-") || taken && before.value != "" {
			return nil, needsValue(o)
		}
		return slices.Concat(args[:i+1], args[last:], args[i+1:last]), nil
	}
	return args, nil
}

// flagNamed is the flag that an argument is.
func flagNamed(argument string, known map[string]option) (option, bool) {
	o, is := known[strings.TrimLeft(argument, "-")]
	return o, is && strings.HasPrefix(argument, "-")
}

func needsValue(o option) error { return fmt.Errorf("-%s needs a value: %s", o.name, o.usage()) }

// undefinedFlag is how package flag says that a flag is not known.
const undefinedFlag = "flag provided but not defined: -"

// unparsed is an error of package flag in our words.
func (v verb) unparsed(err error) error {
	text := err.Error()
	list := fmt.Sprintf("\"approov %s -h\" lists the flags", v.name)
	if name, ok := strings.CutPrefix(text, undefinedFlag); ok {
		var names []string
		for _, o := range v.allOptions() {
			names = append(names, o.name)
		}
		return fmt.Errorf("unknown flag -%s%s", shown(name), orLook(didYouMean("-"+name, dashed(names)), list))
	}
	if name, ok := strings.CutPrefix(text, "flag needs an argument: -"); ok {
		for _, o := range v.allOptions() {
			if o.name == name {
				return needsValue(o)
			}
		}
	}
	// "invalid value "x" for flag -name: what" and "invalid boolean value "x" for -name: what"
	if _, rest, ok := strings.Cut(text, " for flag -"); ok {
		text = rest
	} else if _, rest, ok := strings.Cut(text, " for -"); ok {
		text = rest
	}
	name, what, _ := strings.Cut(text, ": ")
	return fmt.Errorf("-%s: %s; %s", name, what, list)
}

// chosen is the action that flags ask for.
func (v verb) chosen(given map[string]string) (action, error) {
	var found []action
	for _, a := range v.actions {
		if _, has := given[a.name]; has || a.name == "" && len(v.actions) == 1 {
			found = append(found, a)
		}
	}
	switch len(found) {
	case 0:
		var all []string
		for _, a := range v.actions {
			all = append(all, a.usage())
		}
		return action{}, fmt.Errorf("%s: say what to do: %s", v.name, orList(all))
	case 1:
	default:
		return action{}, fmt.Errorf("-%s and -%s are two commands; give one", found[0].name, found[1].name)
	}
	return found[0], v.fits(found[0], given)
}

// fits reports options that are missing, and those that mean nothing to an action.
func (v verb) fits(a action, given map[string]string) error {
	for _, o := range v.options {
		_, has := given[o.name]
		switch {
		case !has && slices.Contains(a.needs, o.name):
			return fmt.Errorf("-%s needs %s: %s", a.name, o.usage(), o.about)
		case has && !a.allows(o.name):
			return fmt.Errorf("-%s goes with %s, not with -%s", o.name, orList(v.allowing(o.name)), a.name)
		}
	}
	return nil
}

// allows reports whether an option goes with an action.
func (a action) allows(name string) bool {
	return slices.Contains(a.needs, name) || slices.Contains(a.takes, name)
}

// requires reports whether an action needs an option.
func (a action) requires(name string) bool { return slices.Contains(a.needs, name) }

// allowing are the actions that an option goes with.
func (v verb) allowing(name string) []string {
	var names []string
	for _, a := range v.actions {
		if a.allows(name) {
			names = append(names, a.name)
		}
	}
	return dashed(names)
}

func (v verb) allOptions() []option { return slices.Concat(v.ownOptions(), commonOptions()) }

// ownOptions are a verb's flags without those of every verb.
func (v verb) ownOptions() []option {
	var all []option
	for _, a := range v.actions {
		if a.name != "" {
			all = append(all, a.option)
		}
	}
	return slices.Concat(all, v.options)
}

// usage is the flag as one writes it.
func (o option) usage() string {
	if o.name == "" {
		return ""
	}
	if o.value == "" {
		return "-" + o.name
	}
	return "-" + o.name + " " + o.value
}

func dashed(names []string) []string {
	var all []string
	for _, name := range names {
		all = append(all, "-"+name)
	}
	return all
}

// orList joins words: a, b or c.
func orList(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}
