package mobile

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"

	"github.com/approovgate/approovgate/measure/zipfile"
)

const (
	maxNamed   = 5       // files that an error names
	maxListing = 1 << 20 // bytes of the list of packages in an .xapk
)

// measureBase measures the base of an app that comes in several packages: of bundletool (.apks), of stores (.xapk,
// .apkm), or as they lie on a device (manual, "Android App Bundles").
func measureBase(ctx context.Context, a *zipfile.Archive, o Options) (App, error) {
	base, others, err := findBase(a)
	if err != nil {
		return App{}, err
	}
	if base.Size > zipfile.MaxSize {
		return App{}, fmt.Errorf("%.200q in it has %d bytes, at most %d are read", base.Name, base.Size, int64(zipfile.MaxSize))
	}
	app, err := measureInner(ctx, base, o)
	if err != nil {
		return App{}, fmt.Errorf("%.200q in it: %w", base.Name, err)
	}
	if len(others) > 0 {
		app.Warnings = append(app.Warnings, fmt.Sprintf("%.200q was measured; %s may be for other devices, and would have to be registered too", base.Name, list(others)))
	}
	return app, nil
}

// measureInner unpacks a package to a temporary file and measures that.
func measureInner(ctx context.Context, f *zipfile.File, o Options) (app App, err error) {
	file, err := os.CreateTemp("", "approov-*.apk")
	if err != nil {
		return App{}, err
	}
	removed := os.Remove(file.Name()) == nil // at once where the system allows it: nothing is left if the program is killed
	defer func() {
		err = errors.Join(err, file.Close())
		if !removed {
			err = errors.Join(err, os.Remove(file.Name()))
		}
	}()
	r, err := f.Open()
	if err != nil {
		return App{}, err
	}
	defer func() { _ = r.Close() }() // only read
	size, err := io.Copy(file, contextReader{ctx, r})
	if err != nil {
		return App{}, err
	}
	inner, err := zipfile.Open(file, size)
	if err != nil {
		return App{}, err
	}
	if kindOf(inner) != kindAPK {
		return App{}, errors.New("it has no AndroidManifest.xml")
	}
	return measureAPK(ctx, source{file, size, inner}, o)
}

// contextReader ends with its context.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}

// findBase finds the package that every device has, and others of the same name for some devices: bundletool writes
// base-master_2.apk beside base-master.apk if the two are for different versions of Android.
func findBase(a *zipfile.Archive) (base *zipfile.File, others []string, err error) {
	var names []string
	for _, f := range a.Files() {
		if isAPK(f.Name) {
			names = append(names, f.Name)
		}
	}
	for _, wanted := range []string{"base-master", "base", "universal"} {
		for _, f := range a.Files() {
			name := strings.ToLower(path.Base(f.Name))
			switch {
			case name == wanted+".apk" && base == nil:
				base = f
			case isAPK(name) && (name == wanted+".apk" || strings.HasPrefix(name, wanted+"_")):
				others = append(others, f.Name)
			}
		}
		if base != nil {
			return base, others, nil
		}
		others = nil
	}
	if base = namedBase(a); base != nil {
		return base, nil, nil
	}
	var plain []string // not of one configuration: the base is named by its package
	for _, name := range names {
		if lower := strings.ToLower(path.Base(name)); !strings.HasPrefix(lower, "config.") && !strings.HasPrefix(lower, "split_") {
			plain = append(plain, name)
		}
	}
	if len(plain) == 1 {
		base, _ = a.Find(plain[0])
		return base, nil, nil
	}
	return nil, nil, fmt.Errorf("it holds %s, and none of them is base.apk, base-master.apk or universal.apk: take out the one to be registered", list(names))
}

// namedBase is the base that the list of an .xapk names; nil: there is none.
func namedBase(a *zipfile.Archive) *zipfile.File {
	f, found := a.Find("manifest.json")
	if !found || f.Size > maxListing {
		return nil
	}
	r, err := f.Open()
	if err != nil {
		return nil
	}
	defer func() { _ = r.Close() }() // only read
	var listing struct {
		Packages []struct {
			ID   string `json:"id"`
			File string `json:"file"`
		} `json:"split_apks"`
	}
	if json.NewDecoder(r).Decode(&listing) != nil {
		return nil
	}
	for _, one := range listing.Packages {
		if base, found := a.Find(one.File); found && one.ID == "base" && isAPK(one.File) {
			return base
		}
	}
	return nil
}

// list names some files.
func list(names []string) string {
	text := ""
	for i, name := range names[:min(len(names), maxNamed)] {
		if i > 0 {
			text += ", "
		}
		text += fmt.Sprintf("%.200q", name)
	}
	if len(names) > maxNamed {
		text += fmt.Sprintf(" and %d more", len(names)-maxNamed)
	}
	return text
}
