// Package sdnotify tells the service manager how the process is: that it serves or stops, and, as long as it is healthy, that it lives (sd_notify(3); Type=notify and WatchdogSec= in systemd.service(5)).
//
// It owns those messages and the beat of the watchdog, and knows nothing of what the process does. Where no service
// manager asked to be told, which it does by NOTIFY_SOCKET, every function does nothing.
//
// Start reading at Run.
package sdnotify

import (
	"context"
	"fmt"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// Ready says that the process serves.
func Ready() error { return tell(daemon.SdNotifyReady) }

// Stopping says that the process takes no more requests and finishes those it has.
func Stopping() error { return tell(daemon.SdNotifyStopping) }

// Run tells the watchdog that the process lives, twice in the interval that WATCHDOG_USEC gives, until ctx ends. A beat
// is left out when healthy says no; the service manager restarts a process from which it hears nothing for an interval.
// Without a watchdog Run returns at once. An error means that the interval cannot be understood.
func Run(ctx context.Context, healthy func() bool) error {
	interval, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		return fmt.Errorf("watchdog: %w", err)
	}
	if interval == 0 {
		return nil
	}
	beat := time.NewTicker(interval / 2)
	defer beat.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-beat.C:
			if healthy() {
				_ = tell(daemon.SdNotifyWatchdog) // what was not told is told by the next beat, or ends in a restart
			}
		}
	}
}

func tell(state string) error {
	if _, err := daemon.SdNotify(false, state); err != nil {
		return fmt.Errorf("notify the service manager: %w", err)
	}
	return nil
}
