package main

import (
	"errors"
	"net/http"
	"net/url"

	"github.com/approovgate/approovgate/attestapi"
	"github.com/approovgate/approovgate/internal/manageclient"
)

func deviceVerb() verb {
	return verb{
		name:  "device",
		about: "single devices with a policy or pins of their own",
		actions: []action{
			{option{"add", "DEVICE", "a device's policy, pin mode or both, by its ID or a text with it"}, nil, []string{"policy", "pinMode"}, (*call).addDevice},
			{option{"list", "", "those devices, one a line"}, nil, nil, (*call).listDevices},
			{option{"remove", "DEVICE", "have the account's policy and pins apply to it again"}, nil, nil, (*call).removeDevice},
		},
		options: []option{
			{"policy", "RULES,REJECTION,ANNOTATION", "such as default,whitelist,all; default: the account's"},
			{"pinMode", "MODE", "pin, unpin, block or blockAll; default: pin"},
		},
	}
}

// deviceID is the device that the action's value names, or holds: see findIDs.
func (c *call) deviceID() (string, error) {
	text, err := c.pastedText(c.value())
	if err != nil {
		return "", err
	}
	found, err := findIDs(text)
	if err == nil && found.device == "" {
		err = misuse{errors.New("this is a request ID: approov explain says which device it is of")}
	}
	return found.device, err
}

func (c *call) addDevice() error {
	did, err := c.deviceID()
	if err != nil {
		return err
	}
	if !c.has("policy") && !c.has("pinMode") {
		return misuse{errors.New("-add needs -policy, -pinMode or both: what is to be different for this device?")}
	}
	var changed attestapi.Changed
	answer, err := c.change(manageclient.Request{Method: http.MethodPost, Path: attestapi.PathDevices,
		Body: attestapi.Device{DeviceID: did, Policy: c.text("policy"), PinMode: c.text("pinMode")}}, &changed)
	if err != nil {
		return err
	}
	c.done(answer, changed.Notes, "successfully set device %s", did)
	return nil
}

// listDevices shows the policy that applies to each device: one without its own has the account's.
func (c *call) listDevices() error {
	var list attestapi.Devices
	answer, err := c.read("getting devices", attestapi.PathDevices, nil, &list)
	if err != nil || c.has("json") {
		return c.finish(answer, err)
	}
	var setting attestapi.PolicySetting
	if _, err := c.read("getting the security policy", attestapi.PathPolicy, nil, &setting); err != nil {
		return err
	}
	c.say("%s:", counted(len(list.Devices), "device", "devices"))
	for _, d := range list.Devices {
		policy, mode := d.Policy, d.PinMode
		if policy == "" {
			policy = setting.Policy
		}
		if mode == "" {
			mode = "pin"
		}
		c.say(" %s %s  %s  %s", d.DeviceID, policy, mode, d.By)
	}
	return nil
}

func (c *call) removeDevice() error {
	did, err := c.deviceID()
	if err != nil {
		return err
	}
	var changed attestapi.Changed
	answer, err := c.change(manageclient.Request{Method: http.MethodDelete, Path: attestapi.PathDevices,
		Query: url.Values{"did": {did}}}, &changed)
	if err != nil {
		return err
	}
	c.done(answer, changed.Notes, "successfully removed device %s", did)
	return nil
}
