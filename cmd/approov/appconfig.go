package main

import (
	"bytes"
	"encoding/base64"
	"strings"

	"github.com/approovgate/approovgate/attestapi"
)

// outdatedConfig is the manual's sentence (manual, "Registration Upgrade Messages").
const outdatedConfig = "WARNING: SDK initial configuration must be out of date since a new one is available"

// currentConfig is the account's SDK configuration, and how the text of every one begins.
func (c *call) currentConfig() (current attestapi.Config, mark string, err error) {
	var answer attestapi.ConfigResponse
	if _, err := c.read("getting the SDK configuration", attestapi.PathSDKConfig, nil, &answer); err != nil {
		return attestapi.Config{}, "", err
	}
	current, err = attestapi.OpenInitialConfig(answer.Config)
	return current, configMark(answer.Config), err
}

// configMark is how every SDK configuration begins: the base64 of its JWS header, as far as it does not depend on
// what follows.
func configMark(text string) string {
	compact, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text))
	header := bytes.IndexByte(compact, '.')
	if err != nil || header < 0 {
		return ""
	}
	const group = 3 // bytes that become four letters of base64
	return base64.StdEncoding.EncodeToString(compact[:header/group*group])
}

// outdated reports whether the newest of the account's configurations that stand in an app is older than the current
// one. An app in which none is found may have it in a file of its own, so nothing is said of it.
func (a app) outdated() bool {
	newest := int64(0)
	for _, text := range a.configs {
		if c, err := attestapi.OpenInitialConfig(text); err == nil && c.Key == a.current.Key {
			newest = max(newest, c.Version)
		}
	}
	return newest != 0 && newest < a.current.Version
}

// ofAnother reports whether an app has SDK configurations, and all are of other accounts. Those of two services may have
// the same name; their keys differ. An app may have those of several accounts (manual, "Handling Multiple Accounts").
func (a app) ofAnother() bool {
	others := false
	for _, text := range a.configs {
		c, err := attestapi.OpenInitialConfig(text)
		if err == nil && c.Key == a.current.Key {
			return false
		}
		others = others || err == nil
	}
	return others
}
