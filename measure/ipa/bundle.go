package ipa

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/approovgate/approovgate/measure/macho"
	"github.com/approovgate/approovgate/measure/plist"
	"github.com/approovgate/approovgate/measure/zipfile"
)

const (
	payload        = "Payload/"
	startSize      = 8       // bytes by which an executable is known
	maxExecutables = 4096    // of one app
	drainSize      = 1 << 20 // bytes read at once of what is not looked at, after which a context's end is seen
)

// bundle is the folder of an app in a package.
type bundle struct {
	folder      string // such as Payload/Shop.app/
	files       []*zipfile.File
	digests     map[string][sha256.Size]byte // of executables, by the path within the folder
	own         macho.File                   // the app's own executable
	without     []string                     // paths of executables without arm64 code
	mainWithout error                        // why the app's own one is among them
}

// findBundle finds the one app.
func findBundle(archive *zipfile.Archive) (*bundle, error) {
	b := &bundle{digests: map[string][sha256.Size]byte{}}
	for _, f := range archive.Files() {
		path, found := strings.CutPrefix(f.Name, payload)
		if !found {
			continue
		}
		// Another spelling of a folder would lead a file past the rules here to where a device puts it all the same.
		for _, part := range strings.Split(strings.TrimSuffix(path, "/"), "/") {
			if (part == "" && path != "") || part == "." || part == ".." || strings.Contains(part, `\`) {
				return nil, fmt.Errorf("the name %.200q has a part %.80q", f.Name, part)
			}
		}
		app, _, found := strings.Cut(path, "/")
		if !found || !strings.HasSuffix(app, ".app") {
			continue
		}
		if folder := payload + app + "/"; b.folder == "" {
			b.folder = folder
		} else if b.folder != folder {
			return nil, fmt.Errorf("there are two apps: %.80q and %.80q", b.folder, folder)
		}
		if !strings.HasSuffix(f.Name, "/") {
			b.files = append(b.files, f)
		}
	}
	if b.folder == "" {
		return nil, errors.New("there is no folder Payload/NAME.app, as in the .ipa that Xcode exports (Product, Archive, Distribute App)")
	}
	return b, nil
}

// info reads the app's Info.plist.
func (b *bundle) info(archive *zipfile.Archive) (plist.Dict, error) {
	f, found := archive.Find(b.folder + "Info.plist")
	if !found {
		return nil, errors.New("it is not there")
	}
	if f.Size > plist.MaxSize {
		return nil, fmt.Errorf("it has more than %d bytes", plist.MaxSize)
	}
	r, err := f.Open()
	if err != nil {
		return nil, err
	}
	defer func() { _ = r.Close() }() // only read
	text, err := io.ReadAll(io.LimitReader(r, plist.MaxSize+1))
	if err != nil {
		return nil, err
	}
	return plist.ParseDict(text)
}

// ownProcess says of a path in the bundle that it belongs to a program of its own, such as a widget.
func ownProcess(path string) bool {
	folder, _, _ := strings.Cut(path, "/")
	switch folder {
	case "PlugIns", "Extensions", "AppClips", "Watch":
		return true
	}
	return false
}

// readExecutables reads every executable that the app's process can load.
func (b *bundle) readExecutables(ctx context.Context, main string) error {
	for _, f := range b.files {
		path := strings.TrimPrefix(f.Name, b.folder)
		if ownProcess(path) || f.Size < startSize {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		executable, found, err := readFile(ctx, f)
		switch {
		case errors.Is(err, macho.ErrNoARM64):
			b.without = append(b.without, path)
			if path == main {
				b.mainWithout = err
			}
			continue
		case err != nil:
			return fmt.Errorf("%.200q: %w", f.Name, err)
		case !found:
			continue
		case executable.Encrypted:
			return fmt.Errorf("%.200q: %w", f.Name, ErrEncrypted)
		}
		if b.digests[path] = executable.Digest; len(b.digests) > maxExecutables {
			return fmt.Errorf("it has more than %d executables", maxExecutables)
		}
		if path == main { // of the others nothing more is kept
			b.own = executable
		}
	}
	return nil
}

// readFile reads a file if it is an executable, to its end, so that a damaged one is not taken for whole.
func readFile(ctx context.Context, f *zipfile.File) (executable macho.File, found bool, err error) {
	r, err := f.Open()
	if err != nil {
		return macho.File{}, false, err
	}
	defer func() { _ = r.Close() }() // only read
	var start [startSize]byte
	if _, err := io.ReadFull(r, start[:]); err != nil {
		return macho.File{}, false, err
	}
	if !macho.Is(start[:]) {
		return macho.File{}, false, nil
	}
	executable, err = macho.Read(ctx, io.MultiReader(strings.NewReader(string(start[:])), r), f.Size)
	if err != nil {
		return macho.File{}, true, err
	}
	for {
		if err := ctx.Err(); err != nil {
			return macho.File{}, true, err
		}
		if _, err := io.CopyN(io.Discard, r, drainSize); errors.Is(err, io.EOF) {
			return executable, true, nil
		} else if err != nil {
			return macho.File{}, true, err
		}
	}
}

// describe fills in what the executables say.
func (b *bundle) describe(app *App, main string) error {
	own := b.own
	switch _, found := b.digests[main]; {
	case b.mainWithout != nil:
		return fmt.Errorf("%.200q: %w", b.folder+main, b.mainWithout)
	case !found:
		return fmt.Errorf("%.200q, its executable, is not there, or is none", b.folder+main)
	}
	switch own.Platform {
	case 0, macho.IOS:
	case macho.IOSSimulator:
		app.Simulator = true
	default:
		return fmt.Errorf("%.200q is built for %v, not for iOS", b.folder+main, own.Platform)
	}
	app.Team, app.Adhoc = own.Signature.Team, own.Signature.Adhoc || !own.Signature.Present
	if text := own.Signature.Entitlements; len(bytes.TrimSpace(text)) > 0 {
		entitlements, err := plist.ParseDict(text)
		if err != nil {
			return fmt.Errorf("%.200q: its entitlements: %w", b.folder+main, err)
		}
		app.Debuggable = entitlements.Bool("get-task-allow")
	}
	if app.MinOS == "" {
		app.MinOS = own.MinOS
	}
	app.Digest = b.digest()
	app.Warnings = b.warnings(app)
	return nil
}

// digest is that of all executables, see the package's comment.
func (b *bundle) digest() [sha256.Size]byte {
	hash := sha256.New()
	for _, path := range b.paths() {
		digest := b.digests[path]
		hash.Write([]byte(path + "\x00"))
		hash.Write(digest[:])
	}
	return [sha256.Size]byte(hash.Sum(nil))
}

// paths are those of the executables, in order.
func (b *bundle) paths() []string {
	paths := []string{}
	for path := range b.digests {
		paths = append(paths, path)
	}
	slices.Sort(paths)
	return paths
}

// warnings say why the app may not do in production.
func (b *bundle) warnings(app *App) []string {
	var all []string
	switch {
	case app.Simulator:
		all = append(all, "it is built for the simulator: devices do not run it")
	case app.Adhoc:
		all = append(all, "it is not signed with a certificate: devices do not install it as it is")
	}
	if app.Debuggable {
		all = append(all, "it is a development build, into which a debugger may look (get-task-allow): register what is exported for the store")
	}
	for _, path := range b.paths() { // Xcode 10.2 Release Notes, "App Thinning"
		if strings.HasPrefix(path, "Frameworks/libswift") {
			all = append(all, fmt.Sprintf("%.200q is one of Swift's own libraries, which the store leaves out where iOS 12.2 or later has it: "+
				"set the deployment target to 12.2 or later", path))
			break
		}
	}
	if len(b.without) > 0 {
		all = append(all, fmt.Sprintf("executables without arm64 code, which no device loads, are not in the digest: %d, the first is %.200q",
			len(b.without), b.without[0]))
	}
	return all
}
