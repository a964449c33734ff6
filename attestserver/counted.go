package attestserver

import (
	"slices"

	"github.com/approovgate/approovgate/attestserver/account"
)

const (
	// countedApps bounds the app versions of an account that are counted each by itself: the latest registered. A
	// pipeline that registers every build would otherwise make a time series of each, for ever.
	countedApps = 50
	otherApps   = "other" // package and version of all others
)

// counted is an app version as metrics count it.
type counted struct{ name, version string }

// countedOf are the app versions of an account that are counted each by itself.
func countedOf(a *account.Account) map[counted]bool {
	latest := slices.Clone(a.Registrations)
	slices.SortStableFunc(latest, func(x, y account.Registration) int { return y.Registered.Compare(x.Registered) })
	all := map[counted]bool{}
	for _, r := range latest {
		if all[counted{r.Package, r.Version}] = true; len(all) == countedApps {
			break
		}
	}
	return all
}

// label is what a registered app is counted under.
func (c *compiled) label(one app) counted {
	if as := (counted{one.name, one.version}); c.counted[as] {
		return as
	}
	return counted{otherApps, otherApps}
}

// forget drops what was counted of app versions that are no more among the latest.
func (m *metrics) forget(before, after *compiled) {
	if before == nil {
		return
	}
	for one := range before.counted {
		if after.counted[one] {
			continue
		}
		for _, verdict := range []string{"pass", "fail"} {
			m.apps.DeleteLabelValues(before.account.Name, verdict, one.name, one.version)
		}
	}
}
