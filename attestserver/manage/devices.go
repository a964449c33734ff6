package manage

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/approovgate/approovgate/attestapi"
	"github.com/approovgate/approovgate/attestserver/account"
)

func (a *API) deviceRoutes(api huma.API) {
	register(a, api, endpoint{http.MethodGet, attestapi.PathDevices, account.OpDeviceList, "List the devices with settings of their own"}, a.listDevices)
	register(a, api, endpoint{http.MethodPost, attestapi.PathDevices, account.OpDeviceSet, "Give a device a policy or pin mode of its own"}, a.setDevice)
	register(a, api, endpoint{http.MethodDelete, attestapi.PathDevices, account.OpDeviceRemove, "Give a device what the account has"}, a.removeDevice)
}

func (a *API) listDevices(ctx context.Context, _ *nothing) (*answer[attestapi.Devices], error) {
	acc := requestOf(ctx).account
	list := attestapi.Devices{Devices: []attestapi.Device{}}
	for _, d := range acc.Devices {
		list.Devices = append(list.Devices, attestapi.Device{DeviceID: d.ID, Policy: d.Policy.String(), PinMode: string(d.PinMode), By: d.By})
	}
	return answered(acc, list), nil
}

type setDevice struct {
	Conditions
	Body attestapi.Device
}

func (a *API) setDevice(ctx context.Context, in *setDevice) (*answer[attestapi.Changed], error) {
	d := account.Device{ID: in.Body.DeviceID, PinMode: account.PinMode(in.Body.PinMode)}
	if in.Body.Policy != "" {
		var err error
		if d.Policy, err = account.ParsePolicy(in.Body.Policy); err != nil {
			return nil, problemOf(err)
		}
	}
	acc, err := a.change(ctx, in.Conditions, func(acc *account.Account, by account.Actor, at time.Time) error {
		return acc.SetDevice(by, at, d)
	})
	if err != nil {
		return nil, err
	}
	return changed(acc, in.Conditions), nil
}

type removeDevice struct {
	Conditions
	DeviceID string `query:"did" required:"true"`
}

func (a *API) removeDevice(ctx context.Context, in *removeDevice) (*answer[attestapi.Changed], error) {
	acc, err := a.change(ctx, in.Conditions, func(acc *account.Account, by account.Actor, at time.Time) error {
		return acc.RemoveDevice(by, at, in.DeviceID)
	})
	if err != nil {
		return nil, err
	}
	return changed(acc, in.Conditions), nil
}
