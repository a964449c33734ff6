package account

import (
	"slices"
	"strings"
	"time"

	"github.com/approovgate/approovgate/attestapi"
)

// SetDevice gives a device a policy or a pin mode of its own, or both, in the place of what it had (manual, "Managing
// Devices"). A zero policy is the account's.
func (a *Account) SetDevice(by Actor, at time.Time, d Device) error {
	return a.change(by, at, OpDeviceSet, func(c *Account) (outcome, error) {
		if err := checkDevice(&d); err != nil {
			return unchanged, err
		}
		d.By = by.Name
		where, found := c.findDevice(d.ID)
		switch {
		case found && c.Devices[where] == d:
			return unchanged, nil
		case found:
			c.Devices[where] = d
		case len(c.Devices) >= MaxDevices:
			return unchanged, refuse(attestapi.CodeLimit, "did: the account has %d devices, which is the most it may have; remove one with approov device -remove", MaxDevices)
		default:
			c.Devices = slices.Insert(c.Devices, where, d)
		}
		return did(d.ID, strings.TrimPrefix(d.Policy.String()+", "+string(d.PinMode), ", ")), nil
	})
}

func checkDevice(d *Device) error {
	if err := checkDeviceID(d.ID); err != nil {
		return err
	}
	if d.Policy != (Policy{}) {
		if _, err := ParsePolicy(d.Policy.String()); err != nil {
			return err
		}
	}
	switch d.PinMode {
	case "":
		d.PinMode = PinNormal
	case PinNormal, PinOff, PinBlock, PinBlockAll:
	default:
		return refuse(attestapi.CodeInvalid, "pin_mode: unknown pin mode %.40q: use pin, unpin, block or blockAll", d.PinMode)
	}
	return nil
}

func checkDeviceID(id string) error {
	if _, err := attestapi.ParseDeviceID(id); err != nil {
		return refuse(attestapi.CodeInvalid, "did: %s", err)
	}
	return nil
}

// RemoveDevice gives a device what the account has (manual, "Removing Devices").
func (a *Account) RemoveDevice(by Actor, at time.Time, id string) error {
	return a.change(by, at, OpDeviceRemove, func(c *Account) (outcome, error) {
		if err := checkDeviceID(id); err != nil {
			return unchanged, err
		}
		where, found := c.findDevice(id)
		if !found {
			return unchanged, refuse(attestapi.CodeNotFound, "did: the account has no settings for device %s; see approov device -list", id)
		}
		c.Devices = slices.Delete(c.Devices, where, where+1)
		return did(id, ""), nil
	})
}

func (a *Account) findDevice(id string) (where int, found bool) {
	return slices.BinarySearchFunc(a.Devices, id, func(d Device, id string) int { return strings.Compare(d.ID, id) })
}
