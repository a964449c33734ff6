package account

import (
	"reflect"
	"strings"
	"time"
)

// SetNetwork changes how apps reach the service, which they learn from their SDK configuration (R35). It is no
// operation of a management token: those who run the service say it when they start it.
func (a *Account) SetNetwork(at time.Time, n Network) {
	if reflect.DeepEqual(a.Network, n) {
		return
	}
	a.Network = n
	a.Network = a.Clone().Network // shares nothing with the caller's
	a.ConfigVersion++
	a.note(Actor{Name: Service, Role: Admin}, at, "network.set", a.Name, strings.Join(append(append([]string{}, n.Primary...), n.Failover...), " "))
}
