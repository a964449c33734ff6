package main

import (
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/approovgate/approovgate/internal/manageclient"
	"github.com/approovgate/approovgate/source"
)

const (
	defaultServer = "http://127.0.0.1:8484"
	serverEnv     = "APPROOV_SERVER"
	tokenEnv      = "APPROOV_MANAGEMENT_TOKEN" // the token itself (manual, "Creating New Management Tokens")
)

// connect makes a client out of the token's file, the server's address and the file of authorities; each may be empty.
func (c *console) connect(tokenFile, server, authorities string) (*manageclient.Client, error) {
	if server == "" {
		server = strings.TrimSpace(c.getenv(serverEnv))
	}
	if server == "" {
		server = defaultServer
	}
	token, err := c.managementToken(tokenFile)
	if err != nil {
		return nil, badToken{err}
	}
	var pool *x509.CertPool
	if authorities != "" {
		text, _, err := source.Read("file:" + authorities)
		if err != nil {
			return nil, fmt.Errorf("-ca: %w", err)
		}
		if pool, err = source.Authorities(text); err != nil {
			return nil, fmt.Errorf("-ca: %s %w", authorities, err)
		}
	}
	client, err := manageclient.New(manageclient.Options{Server: server, Token: token, Authorities: pool, Agent: "approov/" + version()})
	if err != nil {
		return nil, misuse{err}
	}
	return client, nil
}

// managementToken reads the token. The error is a noToken unless something was given that cannot be one.
func (c *console) managementToken(file string) (string, error) {
	if file != "" {
		if strings.HasPrefix(file, "eyJ") && strings.Count(file, ".") == 2 { // it must not stand in an error, too
			return "", errors.New("what stands behind the verb is a management token itself, which others can see there: put it into a file, whose name goes there, or into " + tokenEnv)
		}
		text, warnings, err := source.Read("file:" + file)
		if err != nil {
			return "", noToken{fmt.Errorf("the management token: %w", err)}
		}
		token := strings.TrimSpace(string(text))
		if err := manageclient.CheckToken(token); err != nil {
			return "", fmt.Errorf("what %s holds %w", file, err)
		}
		for _, warning := range warnings { // of another file that was named by mistake there is nothing to say
			c.note("WARNING: the management token: %s", warning)
		}
		return token, nil
	}
	token := strings.TrimSpace(c.getenv(tokenEnv))
	if token == "" {
		return "", noToken{errors.New("no management token: name its file right after the verb, or put the token into the environment variable " + tokenEnv)}
	}
	if err := manageclient.CheckToken(token); err != nil {
		if _, isFile := os.Stat(token); isFile == nil {
			return "", noToken{fmt.Errorf("%s names a file; it must hold the token itself: name the file right after the verb", tokenEnv)}
		}
		return "", fmt.Errorf("what %s holds %w", tokenEnv, err)
	}
	return token, nil
}
