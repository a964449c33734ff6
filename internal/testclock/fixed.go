//go:build !approovgate_testclock

package testclock

import "time"

// Clock is time.Now.
func Clock() func() time.Time { return time.Now }
