package account

import (
	"io"
	"reflect"
	"slices"
	"strings"
	"time"
)

// SetNetwork changes how apps reach the service, which they learn from their SDK configuration (manual, "Approov
// Dynamic Pinning"). It is no operation of a management token: those who run the service say it when they start it.
func (a *Account) SetNetwork(at time.Time, n Network) {
	if reflect.DeepEqual(a.Network, n) {
		return
	}
	a.Network = n
	a.Network = a.Clone().Network // shares nothing with the caller's
	a.ConfigVersion++
	a.note(Actor{Name: Service, Role: Admin}, at, "network.set", a.Name, strings.Join(slices.Concat(n.Primary, n.Failover), " "))
}

// RenewNonceKey makes every nonce void that was handed out before, as must be where it is not known which are spent.
func (a *Account) RenewNonceKey(at time.Time, random io.Reader) error {
	material, err := randomBytes(randomOr(random), nonceKeySize)
	if err != nil {
		return err
	}
	for i := range a.Keys {
		if a.Keys[i].Purpose == NonceKey {
			a.Keys[i].Material, a.Keys[i].Created = NewSecret(material), second(at)
		}
	}
	a.note(Actor{Name: Service, Role: Admin}, at, "nonce-key.renew", a.Name, "")
	return nil
}
