package main

import (
	"net/http"

	"github.com/approovgate/approovgate/attestapi"
	"github.com/approovgate/approovgate/internal/manageclient"
)

func policyVerb() verb {
	return verb{
		name:  "policy",
		about: "which apps and devices are rejected, and what tokens say of them",
		actions: []action{
			{option{"get", "", "the account's security policy"}, nil, nil, (*call).getPolicy},
			{option{"set", "RULES,REJECTION,ANNOTATION", "change it, such as default,allow-root,default; asks first; admin"}, nil, nil, (*call).setPolicy},
			{option{"getIPTracking", "", "what becomes of apps' addresses"}, nil, nil, (*call).getIPTracking},
			{option{"setIPTracking", "none|token|full", "change that; asks first; admin"}, nil, nil, (*call).setIPTracking},
		},
	}
}

func (c *call) getPolicy() error {
	var setting attestapi.PolicySetting
	answer, err := c.read("getting the security policy", attestapi.PathPolicy, nil, &setting)
	if err != nil || c.has("json") {
		return c.finish(answer, err)
	}
	c.say("security policy is %s", setting.Policy)
	return nil
}

func (c *call) setPolicy() error {
	var changed attestapi.Changed
	answer, err := c.changeConfirmed("updating the security policy", manageclient.Request{Method: http.MethodPut,
		Path: attestapi.PathPolicy, Body: attestapi.PolicySetting{Policy: c.value()}}, &changed)
	if err != nil {
		return err
	}
	c.done(answer, changed.Notes, "security policy was set successfully")
	return nil
}

func (c *call) getIPTracking() error {
	var setting attestapi.IPTrackingSetting
	answer, err := c.read("getting the IP tracking policy", attestapi.PathIPTracking, nil, &setting)
	if err != nil || c.has("json") {
		return c.finish(answer, err)
	}
	c.say("IP tracking policy is %s", setting.Tracking)
	return nil
}

func (c *call) setIPTracking() error {
	var changed attestapi.Changed
	answer, err := c.changeConfirmed("updating the IP tracking policy", manageclient.Request{Method: http.MethodPut,
		Path: attestapi.PathIPTracking, Body: attestapi.IPTrackingSetting{Tracking: c.value()}}, &changed)
	if err != nil {
		return err
	}
	c.done(answer, changed.Notes, "IP tracking policy was set successfully")
	return nil
}
