package attestd

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/approovgate/approovgate/attestserver/account"
)

// defaultListen is where the service listens unless it is told otherwise: for this machine alone.
const defaultListen = "127.0.0.1:8484"

// options are the flags.
type options struct {
	data, db, key, to, toKey string
	listen, manage, status   string
	cert, keyFile            string
	plain                    bool
	proxies                  []netip.Prefix
	network                  account.Network
	networkGiven             bool // by flags, not by default
	account, secret          string
	level                    slog.Level
	file                     string // of a backup
	pins                     pinOptions
}

// lists are the flags that may be repeated.
type list []string

func (l *list) String() string { return strings.Join(*l, ",") }

func (l *list) Set(text string) error {
	*l = append(*l, text)
	return nil
}

// parse reads the flags of a command. Its errors are wrong usage.
func parse(command string, args []string) (options, error) {
	o := options{level: slog.LevelInfo}
	var urls, failover, pins, proxies list
	var level string
	set := flag.NewFlagSet("attestserver", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	set.StringVar(&o.data, "data", "attestserver-data", "")
	set.StringVar(&o.db, "db", "", "")
	set.StringVar(&o.key, "key", "", "")
	set.StringVar(&o.to, "to", "", "")
	set.StringVar(&o.toKey, "to-key", "", "")
	set.StringVar(&o.listen, "listen", defaultListen, "")
	set.StringVar(&o.manage, "manage", "", "")
	set.StringVar(&o.status, "status", "", "")
	set.StringVar(&o.cert, "cert", "", "")
	set.StringVar(&o.keyFile, "key-file", "", "")
	set.BoolVar(&o.plain, "plain", false, "")
	set.Var(&proxies, "trusted-proxy", "")
	set.Var(&urls, "url", "")
	set.Var(&failover, "failover", "")
	set.Var(&pins, "pin", "")
	set.StringVar(&o.account, "account", "demo", "")
	set.StringVar(&o.secret, "secret", "", "")
	set.StringVar(&level, "log-level", "info", "")
	o.pins.define(set)
	if err := set.Parse(args); err != nil {
		return options{}, err
	}
	if err := o.level.UnmarshalText([]byte(level)); err != nil {
		return options{}, fmt.Errorf("--log-level: %q is not debug, info, warn or error", level)
	}
	o.network = account.Network{Primary: urls, Failover: failover, Pins: pins}
	o.networkGiven = len(urls)+len(failover)+len(pins) > 0
	if o.key == "" {
		o.key = "file:" + filepath.Join(o.data, sealingKey)
	}
	for _, text := range proxies {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			return options{}, fmt.Errorf("--trusted-proxy: %q is not a network such as 10.0.0.0/8", text)
		}
		o.proxies = append(o.proxies, prefix.Masked())
	}
	if err := o.pins.parse(); err != nil {
		return options{}, err
	}
	return o, o.usable(command, set.Args())
}

// usable reports flags that do not go together.
func (o *options) usable(command string, rest []string) error {
	switch {
	case command == "backup" && len(rest) == 1:
		o.file = rest[0]
	case command == "backup":
		return errors.New("backup wants the file to write")
	case len(rest) > 0:
		return fmt.Errorf("unexpected argument %q", rest[0])
	case command == "copy" && o.to == "":
		return errors.New("copy wants --to postgres://…")
	case (o.cert == "") != (o.keyFile == ""):
		return errors.New("--cert and --key-file belong together")
	}
	if command == "backup" && o.db != "" {
		return errors.New("backup copies the SQLite database; use pg_dump for PostgreSQL")
	}
	for _, reference := range []struct{ flag, text string }{{"--key", o.key}, {"--secret", o.secret}, {"--to-key", o.toKey}, {"--pin-webhook-secret", o.pins.secret}} {
		if t := reference.text; t != "" && !strings.HasPrefix(t, "file:") && !strings.HasPrefix(t, "env:") {
			return fmt.Errorf("%s must be file:PATH or env:NAME; a secret on the command line shows in ps and in the shell's history", reference.flag)
		}
	}
	if command != "run" {
		return nil
	}
	for _, address := range []string{o.listen, o.manage} {
		if address != "" && o.cert == "" && !o.plain && !isLoopback(address) {
			return fmt.Errorf("%s can be reached by others: give --cert and --key-file, or --plain behind a TLS proxy", address)
		}
	}
	if len(o.network.Primary) == 0 && (o.networkGiven || !isLoopback(o.listen)) {
		return errors.New("--url is missing: apps must be told where they reach the service")
	}
	return o.checkURLs()
}

// checkURLs reports addresses that no app could use.
func (o *options) checkURLs() error {
	for _, text := range append(append([]string{}, o.network.Primary...), o.network.Failover...) {
		u, err := url.Parse(text)
		if err != nil || u.Host == "" || u.RawQuery != "" || u.User != nil || u.Fragment != "" {
			return fmt.Errorf("--url: %q is not an address such as https://attest.example.com", text)
		}
		ip, err := netip.ParseAddr(u.Hostname())
		if u.Scheme != "https" && (u.Scheme != "http" || err != nil || !ip.IsLoopback()) { // as the SDK judges it
			return fmt.Errorf("--url: %s must be https: apps send http to this machine only, by its address, such as http://127.0.0.1:8484", text)
		}
	}
	return nil
}

// isLoopback reports whether nobody but this machine reaches a host:port.
func isLoopback(address string) bool {
	name, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(name)
	return name == "localhost" || err == nil && ip.IsLoopback()
}
