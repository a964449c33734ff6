package traefikplugin

import "time"

// now is the clock that tokens are judged by. It stands in a file of its own so that tests of the bundle can put
// another in its place.
var now = time.Now

var started = time.Now()

// elapsed is a clock that nobody sets.
func elapsed() time.Duration { return time.Since(started) }
