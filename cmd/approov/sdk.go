package main

import (
	"net/http"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/approovgate/approovgate/attestapi"
	"github.com/approovgate/approovgate/internal/manageclient"
	"github.com/approovgate/approovgate/source"
)

func sdkVerb() verb {
	return verb{
		name:  "sdk",
		about: "what an app is built with: the SDK's initial configuration and its library",
		actions: []action{
			{option{"getConfig", "FILE", "write the initial SDK configuration into a file"}, nil, nil, (*call).getConfig},
			{option{"getLibrary", "FILE", "write an SDK library into a file: .aar Android, .zip iOS, any other Go"}, nil, []string{"libraryID"}, (*call).getLibrary},
			{option{"listLibraries", "", "the account's SDK libraries, the latest first"}, nil, nil, (*call).listLibraries},
			{option{"newLibrary", "", "make a new one, with a key of its own"}, nil, nil, (*call).newLibrary},
			{option{"removeLibrary", "N", "remove one that no registered app uses; asks first; admin"}, nil, nil, (*call).removeLibrary},
		},
		options: []option{{"libraryID", "N", "which one; default: the latest of the platform"}},
	}
}

func (c *call) getConfig() error {
	var config attestapi.ConfigResponse
	answer, err := c.read("getting the SDK configuration", attestapi.PathSDKConfig, nil, &config)
	if err != nil {
		return err
	}
	if err := writePublic(c.value(), []byte(config.Config+"\n")); err != nil {
		return err
	}
	if !c.printIfJSON(answer) {
		c.say("initial SDK configuration written to %s", c.value())
	}
	return nil
}

// platformOf is the platform that a library's file is for, by its extension (manual, "Getting the Approov SDK").
func platformOf(file string) string {
	switch strings.ToLower(filepath.Ext(file)) {
	case ".aar":
		return "Android"
	case ".zip":
		return "iOS"
	}
	return "Go"
}

// getLibrary writes a library for its owner alone: it holds a key.
func (c *call) getLibrary() error {
	if _, err := c.number("libraryID"); err != nil {
		return err
	}
	query := url.Values{"platform": {platformOf(c.value())}}
	if c.has("libraryID") {
		query.Set("id", c.text("libraryID"))
	}
	var library attestapi.SDKLibrary
	if _, err := c.read("getting libraries", attestapi.PathSDKLibrary, query, &library); err != nil {
		return err
	}
	if err := source.Write(c.value(), library.File); err != nil {
		return err
	}
	if c.has("json") {
		library.File = nil // it is in the file
		return c.printDocument(library)
	}
	c.say("%s SDK library %s(%s) written to %s", library.Platform, library.Version, library.ID, c.value())
	return nil
}

func (c *call) listLibraries() error {
	var list attestapi.SDKLibraries
	answer, err := c.read("getting libraries", attestapi.PathSDKLibraries, nil, &list)
	if err != nil || c.has("json") {
		return c.finish(answer, err)
	}
	c.say("%s:", counted(len(list.Libraries), "SDK library", "SDK libraries"))
	for _, l := range list.Libraries {
		c.say(" %s(%s)  %s  created:%s", l.Version, l.ID, l.Platform, c.timeText(l.Created))
	}
	return nil
}

func (c *call) newLibrary() error {
	var library attestapi.SDKLibrary
	answer, err := c.change(manageclient.Request{Method: http.MethodPost, Path: attestapi.PathSDKLibraries,
		Body: attestapi.NewLibraryOrder{Platform: "Go"}}, &library)
	if err != nil {
		return err
	}
	if c.has("json") {
		library.File = nil // it has a key in it; -getLibrary writes it into a file
		return c.printDocument(library)
	}
	c.done(answer, nil, "new %s SDK library %s(%s)", library.Platform, library.Version, library.ID)
	return nil
}

func (c *call) removeLibrary() error {
	var changed attestapi.Changed
	answer, err := c.changeConfirmed("removing the SDK library", manageclient.Request{Method: http.MethodDelete, Path: attestapi.PathSDKLibraries,
		Query: url.Values{"id": {c.value()}}}, &changed)
	if err != nil {
		return err
	}
	c.done(answer, changed.Notes, "removed SDK library %s", c.value())
	return nil
}
