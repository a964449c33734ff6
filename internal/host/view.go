package host

import (
	"github.com/approovgate/approovgate/config"
	"github.com/approovgate/approovgate/gate"
)

// View is a gate as it looks from outside: a gate.Gate, or a gate.Kin, which is all gates of one name.
type View interface {
	Status() gate.Status
	Counters() []gate.Count
	BindingCounts() []gate.BindingCount
	Ready() bool
}

// Desk is a View that can be switched.
type Desk interface {
	View
	Control(slot gate.Slot) config.Control
	SetControl(slot gate.Slot, c config.Control) []config.Problem
	ControlFile() string
	RefreshControl()
}
