package packages_test

import (
	"bytes"
	"crypto/sha256"
	debug "debug/macho"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/approovgate/approovgate/internal/machotest"
	"github.com/approovgate/approovgate/measure/macho"
	"github.com/approovgate/approovgate/measure/plist"
)

const npm = "npm/node_modules"

// ipaNeeds skips a test whose programs or npm packages are not there, and fails it where CI is set.
func ipaNeeds(t *testing.T, programs ...string) {
	t.Helper()
	var missing []string
	for _, program := range programs {
		if strings.HasPrefix(program, npm) {
			if _, err := os.Stat(program); err != nil {
				missing = append(missing, program)
			}
		} else if _, err := exec.LookPath(program); err != nil {
			missing = append(missing, program)
		}
	}
	if len(missing) == 0 {
		return
	}
	if os.Getenv("CI") != "" {
		t.Fatalf("%s: not there", strings.Join(missing, ", "))
	}
	t.Skipf("%s: not there (make npm-packages installs npm packages)", strings.Join(missing, ", "))
}

// ipaFiles are the files of npm packages that begin in one of some ways.
func ipaFiles(t *testing.T, is func(start []byte) bool) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	err := filepath.WalkDir(npm, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer func() { _ = f.Close() }()
		start := make([]byte, 512)
		n, _ := f.Read(start)
		if is(start[:n]) {
			files[path], err = os.ReadFile(path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// hasUID says of a value that it is an archive of objects, whose references have no XML form.
func hasUID(value any) bool {
	switch value := value.(type) {
	case plist.UID:
		return true
	case []any:
		for _, v := range value {
			if hasUID(v) {
				return true
			}
		}
	case plist.Dict:
		for _, v := range value {
			if hasUID(v) {
				return true
			}
		}
	}
	return false
}

// TestIPAPlistsOfOthers reads property lists that Xcode, Interface Builder and iTunes wrote, and what Python's plistlib
// and libplist make of each in either form.
func TestIPAPlistsOfOthers(t *testing.T) {
	ipaNeeds(t, "python3", "plistutil", npm+"/tns-ios", npm+"/node-notifier")
	files := ipaFiles(t, func(start []byte) bool {
		return bytes.HasPrefix(start, []byte("bplist00")) || bytes.Contains(start, []byte("<!DOCTYPE plist"))
	})
	convert := map[string][]string{
		"Python, XML":      {"python3", "-c", "import plistlib,sys; sys.stdout.buffer.write(plistlib.dumps(plistlib.loads(sys.stdin.buffer.read()), fmt=plistlib.FMT_XML))"},
		"Python, binary":   {"python3", "-c", "import plistlib,sys; sys.stdout.buffer.write(plistlib.dumps(plistlib.loads(sys.stdin.buffer.read()), fmt=plistlib.FMT_BINARY))"},
		"libplist, XML":    {"plistutil", "-i", "-", "-f", "xml"},
		"libplist, binary": {"plistutil", "-i", "-", "-f", "bin"},
	}
	compared, forms := 0, map[bool]int{}
	for path, file := range files {
		value, err := plist.Parse(file)
		switch filepath.Base(path) { // two of 2007, which Python does not read either
		case "iTunes-small.bplist", "sample1.bplist":
			if err != nil && strings.Contains(err.Error(), "is not ASCII, as its marker says") {
				continue
			}
		}
		if err != nil {
			t.Errorf("%s: got %v, want its value", path, err)
			continue
		}
		forms[bytes.HasPrefix(file, []byte("bplist"))]++
		for name, args := range convert {
			if hasUID(value) && strings.HasSuffix(name, "XML") {
				continue
			}
			command := exec.CommandContext(t.Context(), args[0], args[1:]...)
			command.Stdin = bytes.NewReader(file)
			out, err := command.Output()
			if err != nil {
				t.Errorf("%s: %s: %v", path, name, err)
				continue
			}
			again, err := plist.Parse(out)
			if err != nil || !reflect.DeepEqual(again, value) {
				t.Errorf("%s: %s: got %.300v, %v, want %.300v", path, name, again, err, value)
			}
			compared++
		}
	}
	t.Logf("%d XML and %d binary property lists, %d comparisons", forms[false], forms[true], compared)
	if forms[false] < 2 || forms[true] < 10 {
		t.Errorf("got %d XML and %d binary property lists, want 2 and 10", forms[false], forms[true])
	}
}

// slowDigest is the digest of a thin executable as package macho's comment says, from what Go's own reader finds.
func slowDigest(t *testing.T, file []byte) [sha256.Size]byte {
	t.Helper()
	f, err := debug.NewFile(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	file = bytes.Clone(file)
	at, end := 32, len(file)
	for _, load := range f.Loads {
		raw := load.Raw()
		zero := func(from, to int) { clear(file[at+from : at+to]) }
		switch kind := f.ByteOrder.Uint32(raw); {
		case kind == 0x1d:
			end = int(f.ByteOrder.Uint32(raw[8:]))
			zero(8, 16)
		case kind == 0x21 || kind == 0x2c:
			zero(8, 20)
		case kind == 0x19 && f.Segment("__LINKEDIT") == load:
			zero(32, 40)
			zero(48, 56)
		}
		at += len(raw)
	}
	return sha256.Sum256(file[:end])
}

// TestIPAExecutablesOfOthers reads executables that Xcode linked, some of them for iOS devices, as Go's debug/macho and
// LLVM read them.
func TestIPAExecutablesOfOthers(t *testing.T) {
	ipaNeeds(t, "llvm-objdump", npm+"/bare-fs", npm+"/tns-ios")
	platforms := map[string]int{}
	for path, file := range ipaFiles(t, macho.Is) {
		got, err := macho.Read(t.Context(), bytes.NewReader(file), int64(len(file)))
		thin := file
		if fat, fatErr := debug.NewFatFile(bytes.NewReader(file)); fatErr == nil {
			thin = nil
			for _, arch := range fat.Arches {
				if arch.Cpu == debug.CpuArm64 {
					thin = file[arch.Offset : arch.Offset+arch.Size]
				}
			}
		} else if f, err := debug.NewFile(bytes.NewReader(file)); err != nil || f.Cpu != debug.CpuArm64 {
			thin = nil
		}
		if thin == nil {
			if platforms["none"]++; !errors.Is(err, macho.ErrNoARM64) {
				t.Errorf("%s: got %v, want %v", path, err, macho.ErrNoARM64)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		platforms[got.Platform.String()]++
		if want := slowDigest(t, thin); got.Digest != want {
			t.Errorf("%s: got the digest %x, want %x", path, got.Digest, want)
		}
		seen := fmt.Sprintf("%v %s, encrypted %t, signed %t", got.Platform, got.MinOS, got.Encrypted, got.Signature.Present)
		if want := objdump(t, thin); seen != want {
			t.Errorf("%s: got %s, want %s", path, seen, want)
		}
		if got.Signature.Present {
			resigned := machotest.Sign(thin, machotest.Signer{Identifier: "com.example.shop", Team: "A1B2C3D4E5"})
			again, err := macho.Read(t.Context(), bytes.NewReader(resigned), int64(len(resigned)))
			if err != nil || again.Digest != got.Digest || again.Signature.Team != "A1B2C3D4E5" {
				t.Errorf("%s: signed anew: got %x, %v, want %x", path, again.Digest, err, got.Digest)
			}
		}
	}
	t.Logf("executables by platform: %v", platforms)
	for _, want := range []string{"iOS", "the iOS simulator", "macOS", "none"} {
		if platforms[want] == 0 {
			t.Errorf("got no executable for %s, want some", want)
		}
	}
}

// objdump is what LLVM's reader says: platform, oldest system, encrypted, signed.
func objdump(t *testing.T, file []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "executable")
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "llvm-objdump", "--macho", "--private-headers", path).Output()
	if err != nil {
		t.Fatalf("llvm-objdump: %v", err)
	}
	platform, minOS, encrypted, signed, kind := "no platform", "", false, false, ""
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		if len(fields) != 2 {
			continue
		}
		switch word := fields[1]; {
		case fields[0] == "cmd":
			kind = word
			signed = signed || kind == "LC_CODE_SIGNATURE"
		case kind == "LC_BUILD_VERSION" && fields[0] == "platform":
			platform = map[string]string{"ios": "iOS", "macos": "macOS", "iossimulator": "the iOS simulator"}[word]
		case kind == "LC_BUILD_VERSION" && fields[0] == "minos":
			minOS = word
		case kind == "LC_VERSION_MIN_IPHONEOS" && fields[0] == "version":
			platform, minOS = "iOS", word
		case fields[0] == "cryptid":
			encrypted = word != "0"
		}
	}
	return fmt.Sprintf("%s %s, encrypted %t, signed %t", platform, minOS, encrypted, signed)
}
