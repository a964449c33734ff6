// Program self measures itself, after it has deleted or replaced its own file.
package main

import (
	"context"
	_ "embed"
	"fmt"
	"os"

	"github.com/approovgate/approovgate/measure"
)

//go:embed library
var library string

func main() {
	path, err := os.Executable()
	if err == nil && len(os.Args) > 1 && os.Args[1] != "" {
		err = os.Remove(path)
	}
	if err == nil && len(os.Args) > 1 && os.Args[1] == "replace" {
		err = os.WriteFile(path, []byte("another"), 0o600)
	}
	if err != nil || library == "" {
		fmt.Println(err)
		os.Exit(1)
	}
	app, err := measure.Self(context.Background())
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Printf("%x %d %v\n", app.Digest, app.Size, app.Libraries)
}
