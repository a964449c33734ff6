package packages_test

import (
	"archive/zip"
	"bytes"
	debug "debug/macho"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/approovgate/approovgate/measure/ipa"
	"github.com/approovgate/approovgate/measure/macho"
)

// ipaLinked are small executables for iOS devices that LLVM's linker linked and signed ad hoc, by name.
func ipaLinked(t *testing.T, names ...string) map[string][]byte {
	t.Helper()
	ipaNeeds(t, "llvm-mc", "lld")
	folder := t.TempDir()
	run := func(name string, args ...string) {
		command := exec.CommandContext(t.Context(), name, args...)
		command.Dir = folder
		if out, err := command.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", name, err, out)
		}
	}
	source := ".globl _main\n.p2align 2\n_main:\n mov w0, #%d\n ret\n.subsections_via_symbols\n"
	for file, code := range map[string]int{"code": 0, "other": 1} {
		if err := os.WriteFile(filepath.Join(folder, file+".s"), fmt.Appendf(nil, source, code), 0o600); err != nil {
			t.Fatal(err)
		}
		run("llvm-mc", "-triple=arm64-apple-ios15.0", "-filetype=obj", file+".s", "-o", file+".o")
	}
	linked := map[string][]byte{}
	for _, name := range names {
		object, sign := "code.o", "-adhoc_codesign"
		if strings.HasPrefix(name, "other") {
			object = "other.o"
		}
		if strings.HasPrefix(name, "unsigned") {
			sign = "-no_adhoc_codesign"
		}
		run("lld", "-flavor", "darwin", "-arch", "arm64", "-platform_version", "ios", "15.0", "16.2", "-encryptable", sign, "-o", name, object)
		file, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			t.Fatal(err)
		}
		linked[name] = file
	}
	return linked
}

// withoutUUID puts zeros in place of an executable's UUID, which is another one for each file that is linked.
func withoutUUID(t *testing.T, file []byte) {
	t.Helper()
	f, err := debug.NewFile(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	at := 32
	for _, load := range f.Loads {
		if f.ByteOrder.Uint32(load.Raw()) == 0x1b {
			clear(file[at+8 : at+24])
		}
		at += len(load.Raw())
	}
}

// TestIPALinkedByLLVM compares executables of which the signatures differ alone, as another program than ours writes
// them: their identifier is the name of the file.
func TestIPALinkedByLLVM(t *testing.T) {
	linked := ipaLinked(t, "shop", "another-name", "other", "unsigned")
	read := map[string]macho.File{}
	for name, file := range linked {
		withoutUUID(t, file)
		f, err := macho.Read(t.Context(), bytes.NewReader(file), int64(len(file)))
		if err != nil || f.Platform != macho.IOS || f.MinOS != "15.0" {
			t.Fatalf("%s: got %+v, %v, want an executable for iOS 15.0", name, f, err)
		}
		if s := f.Signature; name != "unsigned" && (s.Identifier != name || !s.Adhoc || s.Team != "") {
			t.Errorf("%s: got the signature %+v, want its name, ad hoc", name, s)
		}
		read[name] = f
	}
	if bytes.Equal(linked["shop"], linked["another-name"]) || read["shop"].Digest != read["another-name"].Digest {
		t.Error("signed under two names: got two digests or equal files, want one digest of two files")
	}
	if read["shop"].Digest == read["other"].Digest {
		t.Error("other code: got the same digest, want another one")
	}
	if s := read["unsigned"].Signature; s.Present {
		t.Errorf("not signed: got %+v, want no signature", s)
	}
}

// TestIPAOfRealParts packs a real Info.plist, in binary form, and real executables and compares with what the npm
// package app-info-parser reads of it.
func TestIPAOfRealParts(t *testing.T) {
	ipaNeeds(t, "node", npm+"/app-info-parser", npm+"/tns-ios", npm+"/bare-fs")
	framework := npm + "/tns-ios/framework/internal/NativeScript.framework/"
	bare := npm + "/bare-fs/prebuilds/"
	pack := func(files map[string]string) string {
		var b bytes.Buffer
		w := zip.NewWriter(&b)
		for name, from := range files {
			content, err := os.ReadFile(from)
			if err != nil {
				t.Fatal(err)
			}
			f, err := w.Create("Payload/NativeScript.app/" + name)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := f.Write(content); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), "app.ipa")
		if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	read := func(path string) (ipa.App, error) {
		file, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = file.Close() }()
		info, err := file.Stat()
		if err != nil {
			t.Fatal(err)
		}
		return ipa.Read(t.Context(), file, info.Size())
	}
	path := pack(map[string]string{"Info.plist": framework + "Info.plist", "NativeScript": framework + "NativeScript",
		"Frameworks/bare-fs.dylib": bare + "ios-arm64/bare-fs.bare"})
	app, err := read(path)
	if err != nil {
		t.Fatal(err)
	}
	const script = `new (require('./npm/node_modules/app-info-parser'))(process.argv[1]).parse().then(i => console.log(JSON.stringify(i)))`
	out, err := exec.CommandContext(t.Context(), "node", "-e", script, path).Output()
	if err != nil {
		t.Fatalf("node: %v", err)
	}
	var theirs struct{ CFBundleIdentifier, CFBundleShortVersionString, CFBundleVersion, MinimumOSVersion string }
	if err := json.Unmarshal(out, &theirs); err != nil {
		t.Fatalf("%v: %.200s", err, out)
	}
	got := fmt.Sprintf("%s %s %s %s", app.Package, app.Version, app.Build, app.MinOS)
	want := fmt.Sprintf("%s %s %s %s", theirs.CFBundleIdentifier, theirs.CFBundleShortVersionString, theirs.CFBundleVersion, theirs.MinimumOSVersion)
	if got != want || got != "org.nativescript.NativeScript 6.5.2 6.5.2 8.0" {
		t.Errorf("got %s, want %s", got, want)
	}
	if !app.Adhoc || app.Simulator || app.Debuggable {
		t.Errorf("got %+v, want an app for devices that is not signed", app)
	}
	less, err := read(pack(map[string]string{"Info.plist": framework + "Info.plist", "NativeScript": framework + "NativeScript"}))
	if err != nil || less.Digest == app.Digest {
		t.Errorf("without a library: got the digest %x, %v, want another one than %x", less.Digest, err, app.Digest)
	}
	simulator, err := read(pack(map[string]string{"Info.plist": framework + "Info.plist", "NativeScript": bare + "ios-arm64-simulator/bare-fs.bare"}))
	if err != nil || !simulator.Simulator || len(simulator.Warnings) != 1 {
		t.Errorf("for the simulator: got %+v, %v, want it said", simulator, err)
	}
	_, err = read(pack(map[string]string{"Info.plist": framework + "Info.plist", "NativeScript": bare + "ios-x64-simulator/bare-fs.bare"}))
	if !errors.Is(err, macho.ErrNoARM64) || !strings.Contains(err.Error(), "x86_64: a simulator build") {
		t.Errorf("for the simulator on Intel: got %v, want it refused", err)
	}
}

// TestIPAOfGoProgram reads what Go's linker wrote and signed, and changes of its bytes.
func TestIPAOfGoProgram(t *testing.T) {
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "main.go"), []byte("package main\n\nfunc main() { println(1) }\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	build := func(arch string) []byte {
		path := filepath.Join(folder, arch)
		command := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-o", path, filepath.Join(folder, "main.go"))
		command.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=darwin", "GOARCH="+arch)
		if out, err := command.CombinedOutput(); err != nil {
			t.Fatalf("go build: %v\n%s", err, out)
		}
		file, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return file
	}
	read := func(file []byte) (macho.File, error) {
		return macho.Read(t.Context(), bytes.NewReader(file), int64(len(file)))
	}
	if f, err := read(build("amd64")); !errors.Is(err, macho.ErrNoARM64) {
		t.Errorf("amd64: got %+v, %v, want %v", f, err, macho.ErrNoARM64)
	}
	file := build("arm64")
	first, err := read(file)
	if err != nil || first.Platform != macho.MacOS || !first.Signature.Adhoc || first.Digest != slowDigest(t, file) {
		t.Fatalf("arm64: got %+v, %v, want macOS, signed ad hoc, and the digest %x", first, err, slowDigest(t, file))
	}
	for at := 4096; at < len(file)*9/10; at += 20011 { // the signature is shorter than a tenth
		file[at] ^= 4
		if f, err := read(file); err != nil || f.Digest == first.Digest {
			t.Errorf("byte %d of %d: got %x, %v, want another digest", at, len(file), f.Digest, err)
		}
		file[at] ^= 4
	}
}
