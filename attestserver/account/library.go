package account

import (
	"io"
	"slices"
	"strconv"
	"strings"
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
		return Library{}, refuse(attestapi.CodeNotFound, "platform: there is no SDK library for %.40q; this service has the SDK for %s, which goes into mobile apps, too: name the file other than .aar and .zip", platform, PlatformGo)
	case platform == "":
		return Library{}, refuse(attestapi.CodeNotFound, "library: there is no SDK library %.40q; see approov sdk -listLibraries", id)
	}
	return Library{}, refuse(attestapi.CodeNotFound, "library: there is no SDK library %.40q for %.40q; see approov sdk -listLibraries", id, platform)
}

// LatestLibraries are the account's SDK libraries, the latest first.
func (a *Account) LatestLibraries() []Library {
	latest := slices.Clone(a.Libraries)
	slices.Reverse(latest)
	return latest
}

// AddLibrary makes a new SDK library. Its ID is above that of every one before it.
func (a *Account) AddLibrary(by Actor, at time.Time, random io.Reader, platform, version string) (Library, error) {
	var made Library
	err := a.change(by, at, OpLibraryAdd, func(c *Account) (outcome, error) {
		if platform != PlatformGo {
			return unchanged, refuse(attestapi.CodeInvalid, "platform: there is no SDK for %.40q; use %s", platform, PlatformGo)
		}
		if version == "" {
			version = SDKVersion
		}
		if _, ok := parseVersion(version); !ok {
			return unchanged, refuse(attestapi.CodeInvalid, "version: %.40q is not a version of the SDK, such as %s", version, SDKVersion)
		}
		if len(c.Libraries) >= MaxLibraries {
			return unchanged, refuse(attestapi.CodeLimit, "the account has %d SDK libraries, which is the most it may have; remove one that no app uses", MaxLibraries)
		}
		id := firstLibrary
		if n := len(c.Libraries); n > 0 {
			last, err := strconv.Atoi(c.Libraries[n-1].ID)
			if err != nil {
				return unchanged, err
			}
			id = last + 1
		}
		var err error
		if made, err = newLibrary(randomOr(random), at, id, platform, version); err != nil {
			return unchanged, err
		}
		c.Libraries = append(c.Libraries, made)
		return did(made.ID, platform+"("+version+")"), nil
	})
	return made, err
}

// RemoveLibrary removes an SDK library: apps that hold it get no tokens any more (manual, "Fetching Approov Tokens":
// a deprecated SDK). The latest one stays, so that no ID is given twice.
func (a *Account) RemoveLibrary(by Actor, at time.Time, id string) error {
	return a.change(by, at, OpLibraryRemove, func(c *Account) (outcome, error) {
		l, err := c.Library(id, "")
		if err != nil || id == "" {
			return unchanged, refuse(attestapi.CodeNotFound, "id: there is no SDK library %.40q; see approov sdk -listLibraries", id)
		}
		if l.ID == c.Libraries[len(c.Libraries)-1].ID {
			return unchanged, refuse(attestapi.CodeConflict, "id: %s is the latest SDK library, which an account always has; make a new one first", id)
		}
		if n := count(c.Registrations, func(r Registration) bool { return r.Library == id }); n > 0 {
			return unchanged, refuse(attestapi.CodeConflict, "id: %d registered apps use SDK library %s; remove them first with approov registration -remove", n, id)
		}
		c.Libraries = slices.DeleteFunc(c.Libraries, func(l Library) bool { return l.ID == id })
		return did(id, ""), nil
	})
}

func count[T any](list []T, is func(T) bool) (n int) {
	for _, item := range list {
		if is(item) {
			n++
		}
	}
	return n
}

// parseVersion reads a version such as 1.2.0: one to four numbers.
func parseVersion(text string) (numbers []int, ok bool) {
	for part := range strings.SplitSeq(text, ".") {
		n, err := strconv.Atoi(part)
		if err != nil || n < 0 || len(part) > 6 || strconv.Itoa(n) != part || len(numbers) == 4 {
			return nil, false
		}
		numbers = append(numbers, n)
	}
	return numbers, true
}

// compareVersions is negative if a is before b. What is no version is before every one.
func compareVersions(a, b string) int {
	left, _ := parseVersion(a)
	right, _ := parseVersion(b)
	return slices.Compare(left, right)
}
