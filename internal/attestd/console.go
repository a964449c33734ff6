package attestd

import (
	"fmt"
	"io"
	"log/slog"
)

// console is what a person sees: lines on the standard output, and the log on the standard error.
type console struct {
	out io.Writer
	log *slog.Logger
}

func newConsole(o options, stdout, stderr io.Writer) *console {
	return &console{out: stdout, log: slog.New(slog.NewJSONHandler(stderr, &slog.HandlerOptions{Level: o.level}))}
}

func (c *console) say(format string, args ...any) { fmt.Fprintf(c.out, format+"\n", args...) }
