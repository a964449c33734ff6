package attestd

import (
	"bytes"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/approovgate/approovgate/attestserver/account"
	"github.com/approovgate/approovgate/attestserver/pinwatch"
	"github.com/approovgate/approovgate/pins"
	"github.com/approovgate/approovgate/source"
)

// The rhythm of the pin monitor (manual, "Checking API Configuration": not more often than every two minutes).
const (
	defaultPinCheck = 10 * time.Minute
	leastPinCheck   = 2 * time.Minute
)

// pinOptions are the flags about looking at domains.
type pinOptions struct {
	every           time.Duration // 0: the monitor is switched off
	webhook, secret string
	private         bool
	connects        list
	connect         map[string]string // of a domain: host:port
	ca              string
}

func (p *pinOptions) define(set *flag.FlagSet) {
	set.DurationVar(&p.every, "pin-check", defaultPinCheck, "")
	set.StringVar(&p.webhook, "pin-webhook", "", "")
	set.StringVar(&p.secret, "pin-webhook-secret", "", "")
	set.BoolVar(&p.private, "pin-private", false, "")
	set.Var(&p.connects, "pin-connect", "")
	set.StringVar(&p.ca, "pin-ca", "", "")
}

// parse reads what the flags hold. Its errors are wrong usage.
func (p *pinOptions) parse() error {
	switch {
	case p.every != 0 && p.every < leastPinCheck:
		return fmt.Errorf("--pin-check: %v is too often for other people's servers; use %v or more, or 0 to switch it off", p.every, leastPinCheck)
	case p.webhook != "" && p.every == 0:
		return errors.New("--pin-webhook: with --pin-check 0 there is nothing to tell; leave one of them out")
	case p.secret != "" && p.webhook == "":
		return errors.New("--pin-webhook-secret signs what goes to --pin-webhook, which is missing")
	}
	if p.webhook != "" {
		if _, err := pinwatch.NewWebhook(p.webhook, nil, nil); err != nil {
			return fmt.Errorf("--pin-webhook: %w", err)
		}
	}
	p.connect = map[string]string{}
	for _, text := range p.connects {
		name, address, _ := strings.Cut(text, "=")
		domain, err := account.ParseDomainName(name)
		if err != nil || !isAddress(address) {
			return fmt.Errorf("--pin-connect: %q is not DOMAIN=HOST:PORT, such as api.example.com=10.0.0.7:443", text)
		}
		if _, twice := p.connect[domain]; twice {
			return fmt.Errorf("--pin-connect: %s is given twice", domain)
		}
		p.connect[domain] = address
	}
	return nil
}

// isAddress reports whether a text is host:port with a port that can be connected to.
func isAddress(text string) bool {
	host, port, err := net.SplitHostPort(text)
	number, wrong := strconv.ParseUint(port, 10, 16)
	return err == nil && host != "" && wrong == nil && number > 0
}

// looker makes what looks at domains. It reads the file of certificates.
func (p *pinOptions) looker() (*pinwatch.Looker, error) {
	l := &pinwatch.Looker{Connect: p.connect, Private: p.private}
	if p.ca == "" {
		return l, nil
	}
	text, err := readCertificates(p.ca)
	if err != nil {
		return nil, fmt.Errorf("--pin-ca: %w", err)
	}
	if l.Roots, err = x509.SystemCertPool(); err != nil {
		return nil, fmt.Errorf("--pin-ca: the system's certificates cannot be read: %w", err)
	}
	if !l.Roots.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("--pin-ca: %s holds no certificate in PEM form", p.ca)
	}
	return l, nil
}

// readCertificates reads a file of PEM certificates, of which each must be one.
func readCertificates(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > pins.MaxPEM {
		return nil, fmt.Errorf("%s must be a regular file of at most %d bytes", path, pins.MaxPEM)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if _, err := pins.FromPEM(text); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return text, nil
}

// hook is who is told; nil: nobody.
func (p *pinOptions) hook(roots *x509.CertPool, log *slog.Logger) (*pinwatch.Webhook, error) {
	if p.webhook == "" {
		return nil, nil
	}
	var secret []byte
	if p.secret != "" {
		text, warnings, err := source.Read(p.secret)
		if err != nil {
			return nil, fmt.Errorf("--pin-webhook-secret: %w", err)
		}
		for _, warning := range warnings {
			log.Warn("--pin-webhook-secret: " + warning)
		}
		if secret = bytes.TrimSpace(text); len(secret) == 0 {
			return nil, errors.New("--pin-webhook-secret: it is empty")
		}
	}
	hook, err := pinwatch.NewWebhook(p.webhook, secret, roots)
	if err != nil {
		return nil, fmt.Errorf("--pin-webhook: %w", err)
	}
	return hook, nil
}
