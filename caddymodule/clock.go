package caddymodule

import "github.com/approovgate/approovgate/internal/testclock"

// now is the clock of all gates. Tests have others.
var now = testclock.Clock()
