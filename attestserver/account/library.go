package account

import (
	"io"
	"slices"
	"strconv"
	"time"

	"github.com/approovgate/approovgate/attestapi"
)

func newLibrary(random io.Reader, now time.Time, id int, platform, version string) (Library, error) {
	key, err := randomBytes(random, attestapi.LibraryKeySize)
	if err != nil {
		return Library{}, err
	}
	return Library{ID: strconv.Itoa(id), Platform: platform, Version: version, Key: NewSecret(key), Created: second(now)}, nil
}

// File is the library as apps embed it, see attestapi.Library.
func (a *Account) File(l Library) []byte {
	return attestapi.NewLibrary(l.ID, a.Name, l.Platform, l.Version, [attestapi.LibraryKeySize]byte(l.Key.Bytes())).Encode()
}

// Library is the SDK library with an ID; with an empty one the latest of a platform, or of any if that is empty too.
func (a *Account) Library(id, platform string) (Library, error) {
	for _, l := range slices.Backward(a.Libraries) {
		if (id == "" || l.ID == id) && (platform == "" || l.Platform == platform) {
			return l, nil
		}
	}
	switch {
	case id == "":
		return Library{}, refuse(attestapi.CodeNotFound, "platform: there is no SDK library for %.40q; this service has the SDK for %s", platform, PlatformGo)
	case platform == "":
		return Library{}, refuse(attestapi.CodeNotFound, "library: there is no SDK library %.40q; see approov sdk -list", id)
	}
	return Library{}, refuse(attestapi.CodeNotFound, "library: there is no SDK library %.40q for %.40q; see approov sdk -list", id, platform)
}
