package account_test

import (
	"slices"
	"testing"
	"time"

	"github.com/approovgate/approovgate/attestserver/account"
)

func TestAppsLearnOfANewAddress(t *testing.T) {
	now := time.Date(2030, 1, 31, 12, 0, 0, 0, time.UTC)
	a, _, err := account.New("demo", nil, now, account.Network{Primary: []string{"https://a.example"}})
	if err != nil {
		t.Fatal(err)
	}
	before, entries := a.ConfigVersion, len(a.Entries)
	moved := account.Network{Primary: []string{"https://b.example"}, Failover: []string{"https://c.example"}}
	a.SetNetwork(now, moved)
	moved.Primary[0] = "https://changed.example"
	if !slices.Equal(a.Network.Primary, []string{"https://b.example"}) || a.ConfigVersion != before+1 || len(a.Entries) != entries+1 {
		t.Errorf("got %v, configuration %d and %d entries, want b.example, %d and %d", a.Network.Primary, a.ConfigVersion, len(a.Entries), before+1, entries+1)
	}
	a.SetNetwork(now, a.Clone().Network)
	if a.ConfigVersion != before+1 || len(a.Entries) != entries+1 {
		t.Errorf("the same address again: got configuration %d and %d entries, want no change", a.ConfigVersion, len(a.Entries))
	}
}
