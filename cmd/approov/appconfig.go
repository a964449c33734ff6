package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"io"
	"os"
	"strings"

	"github.com/approovgate/approovgate/attestapi"
	"github.com/approovgate/approovgate/measure"
)

// outdatedConfig is the manual's sentence (manual, "Registration Upgrade Messages").
const outdatedConfig = "WARNING: SDK initial configuration must be out of date since a new one is available"

// warnOfConfig warns if the initial SDK configuration in an app is older than the account's. An app in which none is
// found may have it in a file of its own, so nothing is said of it.
func (c *call) warnOfConfig(path string) error {
	var answer attestapi.ConfigResponse
	if _, err := c.read("getting the SDK configuration", attestapi.PathSDKConfig, nil, &answer); err != nil {
		return err
	}
	current, err := attestapi.OpenInitialConfig(answer.Config)
	if err != nil {
		return err
	}
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }() // only read
	newest, err := newestConfig(file, answer.Config, current)
	if err == nil && newest != 0 && newest < current.Version {
		c.note(outdatedConfig)
	}
	return err
}

// newestConfig is the highest version among the account's configurations that stand in an app; 0: there is none.
func newestConfig(app io.Reader, text string, current attestapi.Config) (int64, error) {
	s := measure.Search{Mark: configMark(text)}
	if err := s.Read(context.Background(), app); err != nil {
		return 0, err
	}
	newest := int64(0)
	for _, found := range s.Configs {
		if c, err := attestapi.OpenInitialConfig(found); err == nil && c.Key == current.Key {
			newest = max(newest, c.Version)
		}
	}
	return newest, nil
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
