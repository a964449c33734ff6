//go:build android || ios

package measure

import (
	"context"
	"errors"
)

// Self cannot measure an app of a mobile system: what is registered is its package as the store delivers it, and what
// runs is a part of that. The app gives the package's digest itself: on Android that of the file that
// ApplicationInfo.sourceDir names, which File computes; on iOS that of package ipa, which nothing here computes of a
// running app.
func Self(context.Context) (App, error) {
	return App{}, errors.New("measure: on this system the app must give the digest of its package itself (sdk.Config.Digest)")
}
