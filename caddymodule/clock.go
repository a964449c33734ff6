package caddymodule

import "time"

// now is the clock of all gates. Tests, and programs built with the tag approovgate_testclock, have others.
var now func() time.Time = time.Now
