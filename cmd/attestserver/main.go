// Command attestserver is the attestation service: it attests apps, issues Approov tokens, and takes the commands of
// approov. All of it is package internal/attestd; its text is attestserver help.
package main

import (
	"os"

	"github.com/approovgate/approovgate/internal/attestd"
)

func main() { os.Exit(attestd.Run(os.Args[1:], os.Stdout, os.Stderr)) }
