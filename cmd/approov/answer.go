package main

import (
	"context"
	"net/url"
	"os"

	"github.com/approovgate/approovgate/internal/manageclient"
	"github.com/approovgate/approovgate/source"
)

// ask sends a request. Whoever interrupts the tool ends it at once.
func (c *call) ask(r manageclient.Request, into any) (manageclient.Answer, error) {
	return c.api.Do(context.Background(), r, into)
}

// read gets a document. doing says what it is for, should it fail.
func (c *call) read(doing, path string, query url.Values, into any) (manageclient.Answer, error) {
	answer, err := c.ask(manageclient.Request{Path: path, Query: query}, into)
	if err != nil {
		return answer, while{err, doing}
	}
	return answer, nil
}

// finish ends a command: with its error, or with the server's document.
func (c *call) finish(answer manageclient.Answer, err error) error {
	if err != nil {
		return err
	}
	c.printText(answer.Text)
	return nil
}

// printIfJSON prints the server's document if that is asked for.
func (c *call) printIfJSON(answer manageclient.Answer) bool {
	if c.has("json") {
		c.printText(answer.Text)
	}
	return c.has("json")
}

const publicFile = 0o644 // the mode of files that hold no secret

// writePublic replaces a file that everybody may read.
func writePublic(path string, text []byte) error {
	if err := source.Write(path, text); err != nil {
		return err
	}
	return os.Chmod(path, publicFile)
}
