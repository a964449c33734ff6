package macho_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/approovgate/approovgate/internal/machotest"
	"github.com/approovgate/approovgate/measure/macho"
)

func read(file []byte) (macho.File, error) {
	return macho.Read(context.Background(), bytes.NewReader(file), int64(len(file)))
}

const entitlements = `<plist version="1.0"><dict><key>get-task-allow</key><true/>` +
	`<key>application-identifier</key><string>A1B2C3D4E5.com.example.shop</string></dict></plist>`

// shop is an app's executable as a test has it most often.
func shop() machotest.Program {
	return machotest.Program{
		Code: strings.Repeat("code ", 2000), LinkEdit: "symbols of the shop", MinOS: 0x000f0201,
		Libraries: []string{"/usr/lib/libSystem.B.dylib", "@rpath/Sdk.framework/Sdk"},
		Signer:    machotest.Signer{Identifier: "com.example.shop", Team: "A1B2C3D4E5", Entitlements: entitlements, Certificates: "none"},
	}
}

func TestReadSaysWhatTheExecutableSays(t *testing.T) {
	with := func(change func(*machotest.Program)) []byte {
		p := shop()
		change(&p)
		return p.Bytes()
	}
	x86, arm := with(func(p *machotest.Program) { p.CPU = 0x01000007 }), shop().Bytes()
	const signed = "com.example.shop of A1B2C3D4E5, ad hoc false, debuggable true"
	for _, row := range []struct {
		name string
		file []byte
		want string
	}{
		{"an executable for devices", arm, "iOS 15.2.1, encrypted false, " + signed},
		{"as old linkers write it", with(func(p *machotest.Program) { p.Old = true }), "iOS 15.2.1, encrypted false, " + signed},
		{"for the simulator", with(func(p *machotest.Program) { p.Platform = 7 }), "the iOS simulator 15.2.1, encrypted false, " + signed},
		{"for what is not known yet", with(func(p *machotest.Program) { p.Platform = 99 }), "platform 99 15.2.1, encrypted false, " + signed},
		{"encrypted by the store", with(func(p *machotest.Program) { p.CryptID = 1 }), "iOS 15.2.1, encrypted true, " + signed},
		{"encrypted, with an old command", with(func(p *machotest.Program) { p.Old, p.CryptID = true, 1 }), "iOS 15.2.1, encrypted true, " + signed},
		{"signed ad hoc, without a team", with(func(p *machotest.Program) { p.Signer = machotest.Signer{Identifier: "a.out", Adhoc: true} }),
			"iOS 15.2.1, encrypted false, a.out of , ad hoc true, debuggable false"},
		{"a code directory that is too old for a team", with(func(p *machotest.Program) { p.Signer.Version = 0x20100 }),
			"iOS 15.2.1, encrypted false, com.example.shop of , ad hoc false, debuggable true"},
		{"not signed", with(func(p *machotest.Program) { p.Unsigned = true }), "iOS 15.2.1, encrypted false, no signature"},
		{"a universal one, of which one is for devices", machotest.Fat(false, x86, arm), "iOS 15.2.1, encrypted false, " + signed},
		{"a universal one with 64-bit offsets", machotest.Fat(true, arm, x86), "iOS 15.2.1, encrypted false, " + signed},
	} {
		t.Run(row.name, func(t *testing.T) {
			f, err := read(row.file)
			got := fmt.Sprintf("%v %s, encrypted %t, ", f.Platform, f.MinOS, f.Encrypted)
			if s := f.Signature; s.Present {
				got += fmt.Sprintf("%s of %s, ad hoc %t, debuggable %t", s.Identifier, s.Team, s.Adhoc, strings.Contains(string(s.Entitlements), "get-task-allow"))
			} else {
				got += "no signature"
			}
			if err != nil || got != row.want {
				t.Errorf("got %s, %v, want %s", got, err, row.want)
			}
			if none := f.Digest == [sha256.Size]byte{}; none != f.Encrypted {
				t.Errorf("got the digest %x, want one if it is not encrypted", f.Digest)
			}
			if !macho.Is(row.file) {
				t.Error("Is: got false, want true")
			}
			if slow, err := macho.Read(t.Context(), iotest.OneByteReader(bytes.NewReader(row.file)), int64(len(row.file))); err != nil || slow.Digest != f.Digest {
				t.Errorf("byte by byte: got %x, %v, want %x", slow.Digest, err, f.Digest)
			}
		})
	}
}

func TestReadRefuses(t *testing.T) {
	le, be := binary.LittleEndian, binary.BigEndian
	good, old := shop().Bytes(), machotest.Program{Old: true}
	// command finds a load command of a kind, the nth of them.
	command := func(file []byte, kind uint32, nth int) int {
		for at := 32; ; at += int(le.Uint32(file[at+4:])) {
			if le.Uint32(file[at:]) == kind {
				if nth--; nth < 0 {
					return at
				}
			}
		}
	}
	with := func(change func(file []byte)) []byte {
		file := bytes.Clone(good)
		change(file)
		return file
	}
	field := func(kind uint32, nth, at int, value uint32) []byte {
		return with(func(f []byte) { le.PutUint32(f[command(f, kind, nth)+at:], value) })
	}
	signature := func(at int, value uint32) []byte {
		return with(func(f []byte) { be.PutUint32(f[int(le.Uint32(f[command(f, 0x1d, 0)+8:]))+at:], value) })
	}
	signer := func(s machotest.Signer) []byte { return machotest.Sign(good, s) }
	fat := machotest.Fat(false, good)
	other := func(cpu uint32) []byte { return machotest.Program{CPU: cpu}.Bytes() }
	for _, row := range []struct {
		name string
		file []byte
		want string
	}{
		{"nothing", nil, "it is cut off"},
		{"a text", []byte("#!/bin/sh\n"), "it is no executable"},
		{"a Java class", []byte("\xca\xfe\xba\xbe\x00\x00\x00\x41 and so on"), "it has 65 slices"},
		{"x86_64 alone", other(0x01000007), "no arm64 code, but x86_64: a simulator build"},
		{"x86_64 and i386", machotest.Fat(false, other(0x01000007), other(7)), "no arm64 code, but x86_64: a simulator build; i386: a simulator build"},
		{"32 bits", []byte("\xce\xfa\xed\xfe\x0c\x00\x00\x00 and so on"), "no arm64 code, but 32-bit arm"},
		{"32 bits, big-endian", []byte("\xfe\xed\xfa\xce\x00\x00\x00\x12 and so on"), "no arm64 code, but processor 0x12"},
		{"a watch's", other(0x0200000c), "no arm64 code, but arm64_32: for watches"},
		{"two slices for arm64", machotest.Fat(false, good, good), "lipo -remove arm64e"},
		{"2^32-1 slices", []byte("\xca\xfe\xba\xbe\xff\xff\xff\xff and so on"), "it has 4294967295 slices"},
		{"a slice outside the file", with2(fat, 16, 0xfffffff0), "outside the file"},
		{"a slice that is the header itself", with2(fat, 16, 0), "outside the file"},
		{"a slice longer than the file", with2(fat, 20, 0xfffffff0), "outside the file"},
		{"a slice that is no executable", with2(fat, 16, 0x3ff), "its slice for arm64 is no executable"},
		{"a slice that is a static library", bytes.Replace(fat, good[:8], []byte("!<arch>\n"), 1), "no arm64 code, but a static library"},
		{"a universal one within a universal one", machotest.Fat(false, armHeader(fat)), "no arm64 code"},
		{"too many load commands", with(func(f []byte) { le.PutUint32(f[16:], 10_001) }), "at most 10000 are read"},
		{"2^32-1 load commands", with(func(f []byte) { le.PutUint32(f[16:], 0xffffffff) }), "at most 10000 are read"},
		{"more load commands than there are", with(func(f []byte) { le.PutUint32(f[16:], le.Uint32(f[16:])+1) }), "load command 9 is cut off"},
		{"load commands of 4 GB", with(func(f []byte) { le.PutUint32(f[20:], 0xffffffff) }), "more than 1048576 bytes"},
		{"a load command of no bytes", field(0x19, 0, 4, 0), "load command 1 has 0 bytes"},
		{"a load command of 12 bytes", field(0x19, 0, 4, 12), "load command 1 has 12 bytes"},
		{"a load command of 4 GB", field(0x19, 0, 4, 0xfffffff8), "load command 1 has 4294967288 bytes"},
		{"a segment that is too short", field(0x19, 0, 4, 64), "load command 1: it is too short"},
		{"a segment beyond the end", field(0x19, 1, 48, 0x7fffffff), "a segment goes beyond the end"},
		{"a segment of 2^63 bytes", field(0x19, 1, 52, 0x80000000), "its segment goes beyond the end"},
		{"a segment at 2^63", field(0x19, 1, 44, 0x80000000), "its segment goes beyond the end"},
		{"a segment over the signature", with(func(f []byte) {
			le.PutUint64(f[command(f, 0x19, 1)+48:], uint64(len(f)))
		}), "goes beyond where its code signature begins"},
		{"a second __LINKEDIT", with(func(f []byte) { copy(f[command(f, 0x19, 0)+8:], "__LINKEDIT\x00") }), "a second __LINKEDIT"},
		{"a __LINKEDIT that can be run", field(0x19, 2, 60, 5), "its __LINKEDIT can be run"},
		{"no __LINKEDIT", with(func(f []byte) { copy(f[command(f, 0x19, 2)+8:], "__OTHER\x00\x00\x00\x00") }), "is not in __LINKEDIT"},
		{"a code signature of another length", field(0xc, 0, 0, 0x1d), "it is too short"},
		{"a second code signature", func() []byte {
			f := old.Bytes()
			le.PutUint32(f[command(f, 0x25, 0):], 0x1d)
			return f
		}(), "it is a second code signature"},
		{"a second command of encryption", field(0x32, 0, 0, 0x2c), "it is a second one of encryption"},
		{"a signature in front of __LINKEDIT", field(0x1d, 0, 8, 0x1000), "is not in __LINKEDIT"},
		{"a signature beyond __LINKEDIT", with(func(f []byte) { f[command(f, 0x19, 2)+48] -= 8 }), "is not in __LINKEDIT"},
		{"a signature in the header", field(0x1d, 0, 8, 16), "is outside the file"},
		{"a signature beyond the end", field(0x1d, 0, 8, 0xfffffff0), "is outside the file"},
		{"a signature of 4 GB", field(0x1d, 0, 12, 0xffffffff), "is outside the file"},
		{"a signature that is none", signature(0, 1), "its code signature: it is none"},
		{"a signature that says it is longer", signature(4, 0x7fffffff), "which do not fit"},
		{"a signature of 2^32-1 parts", signature(8, 0xffffffff), "which do not fit"},
		{"two code directories", signature(20, 0), "it has two parts of the kind 0x0"},
		{"a code directory outside", signature(16, 0xfffffff0), "a part is outside"},
		{"a code directory that is the signature", signature(16, 0), "a part has the mark 0xfade0cc0"},
		{"no code directory", signature(12, 1), "it has no code directory"},
		{"a code directory that is too short", signature(12+8*3+4, 20), "a part says it has 20 bytes"},
		{"an identifier outside", signature(12+8*3+20, 0xffffffff), "its identifier is outside"},
		{"an identifier without an end", signer(machotest.Signer{Identifier: strings.Repeat("a", 256)}), "its identifier has no end within 255 bytes"},
		{"an identifier of control characters", signer(machotest.Signer{Identifier: "a\x1b[2J"}), "its identifier has the byte 0x1b"},
		{"a team of spaces", signer(machotest.Signer{Identifier: "a", Team: " "}), "its team has the byte 0x20"},
		{"entitlements of more than a megabyte", signer(machotest.Signer{Identifier: "a", Entitlements: strings.Repeat(" ", 1<<20+1)}), "its entitlements have more than 1048576 bytes"},
		{"a signature of 9 MB", signer(machotest.Signer{Identifier: "a", Certificates: strings.Repeat(" ", 9<<20)}), "its code signature has more than 8388608 bytes"},
	} {
		t.Run(row.name, func(t *testing.T) {
			f, err := read(row.file)
			if err == nil || !strings.Contains(err.Error(), row.want) || !strings.HasPrefix(err.Error(), "Mach-O: ") {
				t.Errorf("got %+v, %v, want the error %q", f, err, row.want)
			}
			if got, want := errors.Is(err, macho.ErrNoARM64), strings.Contains(row.want, "no arm64 code"); got != want {
				t.Errorf("ErrNoARM64: got %t, want %t", got, want)
			}
		})
	}
}

// with2 changes a big-endian number of a universal executable.
func with2(file []byte, at int, value uint32) []byte {
	file = bytes.Clone(file)
	binary.BigEndian.PutUint32(file[at:], value)
	return file
}

// armHeader lets machotest.Fat take anything for a program.
func armHeader(file []byte) []byte {
	return append([]byte("\xcf\xfa\xed\xfe\x00\x00\x00\x00\x00\x00\x00\x00"), file...)
}

func TestDigestStaysWhenSignedAnew(t *testing.T) {
	p := shop()
	first, err := read(p.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	file := p.Bytes()
	free, signature := freeBytes(file)
	for at := range free {
		file[at] = 0
	}
	if want := sha256.Sum256(file[:signature]); first.Digest != want {
		t.Errorf("got %x, want what the package's comment says, %x", first.Digest, want)
	}
	for _, row := range []struct {
		name   string
		change func(p *machotest.Program)
		same   bool
	}{
		{"another team", func(p *machotest.Program) { p.Signer.Team = "Z9Z9Z9Z9Z9" }, true},
		{"ad hoc", func(p *machotest.Program) { p.Signer = machotest.Signer{Identifier: "x", Adhoc: true} }, true},
		{"a signature of many pages", func(p *machotest.Program) { p.Signer.Certificates = strings.Repeat("c", 50000) }, true},
		{"what would be encrypted", func(p *machotest.Program) { p.CryptAt = 0x4000 }, true},
		{"no place for a signature", func(p *machotest.Program) { p.Unsigned = true }, false},
		{"one byte of code", func(p *machotest.Program) { p.Code = "X" + p.Code[1:] }, false},
		{"one symbol", func(p *machotest.Program) { p.LinkEdit = "symbols of the shoq" }, false},
		{"a library more", func(p *machotest.Program) { p.Libraries = append(p.Libraries, "@rpath/evil.dylib") }, false},
		{"a library of another name", func(p *machotest.Program) { p.Libraries[1] = "@rpath/Sdk.framework/Sdc" }, false},
		{"another platform", func(p *machotest.Program) { p.Platform = 7 }, false},
	} {
		p := shop()
		row.change(&p)
		f, err := read(p.Bytes())
		if got := f.Digest == first.Digest; err != nil || got != row.same {
			t.Errorf("%s: got the same digest %t, %v, want %t", row.name, got, err, row.same)
		}
		fat, err := read(machotest.Fat(true, machotest.Program{CPU: 7}.Bytes(), p.Bytes()))
		if err != nil || fat.Digest != f.Digest {
			t.Errorf("%s, with other slices, which the store removes: got %x, %v, want %x", row.name, fat.Digest, err, f.Digest)
		}
	}
}

// TestDigestOfEveryByte changes each byte of an executable. Only where signing and encryption write may that go unseen.
func TestDigestOfEveryByte(t *testing.T) {
	p := shop()
	p.Code = "a little code"
	sweep(t, p.Bytes())
}

// sweep flips a bit of each byte, or of as many as a long file allows.
func sweep(t *testing.T, file []byte) {
	t.Helper()
	first, err := read(file)
	if err != nil {
		t.Fatal(err)
	}
	free, signature := freeBytes(file)
	refused, unseen := 0, 0
	step := 1
	for at := 0; at < len(file); at += step {
		if at == 4096 && len(file) > 100_000 {
			step = 4099 // a prime: all places within a page come up
		}
		file[at] ^= 1 << (at % 8)
		f, err := read(file)
		file[at] ^= 1 << (at % 8)
		switch allowed := free[at] || at >= signature; {
		case err != nil || f.Encrypted:
			refused++
		case f.Digest == first.Digest && !allowed:
			t.Errorf("byte %d of %d: got the same digest, want another one", at, len(file))
		case f.Digest == first.Digest:
			unseen++
		case allowed && at < signature:
			t.Errorf("byte %d, which signing writes: got another digest, want the same", at)
		}
	}
	t.Logf("%d changes refused, %d unseen as they should be", refused, unseen)
	if refused == 0 || unseen == 0 {
		t.Error("want some of both")
	}
}

// freeBytes are the places in the load commands that signing and encryption write, and where the signature begins.
func freeBytes(file []byte) (map[int]bool, int) {
	le := binary.LittleEndian
	free, signature := map[int]bool{}, len(file)
	mark := func(from, to int) {
		for at := from; at < to; at++ {
			free[at] = true
		}
	}
	at := 32
	for range le.Uint32(file[16:]) {
		switch kind := le.Uint32(file[at:]); {
		case kind == 0x1d:
			mark(at+8, at+16)
			signature = int(le.Uint32(file[at+8:]))
		case kind == 0x2c || kind == 0x21:
			mark(at+8, at+20)
		case kind == 0x19 && bytes.HasPrefix(file[at+8:], []byte("__LINKEDIT\x00")):
			mark(at+32, at+40)
			mark(at+48, at+56)
		}
		at += int(le.Uint32(file[at+4:]))
	}
	return free, signature
}

func TestReadIsCutOffAnywhere(t *testing.T) {
	p := shop()
	p.Code = "a little code"
	for _, file := range [][]byte{p.Bytes(), machotest.Fat(false, p.Bytes())} {
		for n := range file {
			if f, err := read(file[:n]); err == nil {
				t.Fatalf("%d of %d bytes: got %+v, want an error", n, len(file), f)
			}
			// The reader ends before the size that it was said to have.
			if _, err := macho.Read(t.Context(), bytes.NewReader(file[:n]), int64(len(file))); err == nil || !strings.Contains(err.Error(), "cut off") {
				t.Fatalf("%d of %d bytes that were to come: got %v, want it cut off", n, len(file), err)
			}
		}
	}
}

func TestReadStopsAndTakesLittleMemory(t *testing.T) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := macho.Read(ended, bytes.NewReader(shop().Bytes()), int64(len(shop().Bytes()))); !errors.Is(err, context.Canceled) {
		t.Errorf("an ended context: got %v, want %v", err, context.Canceled)
	}
	broken := errors.New("broken disk")
	if _, err := macho.Read(t.Context(), iotest.ErrReader(broken), 1<<20); !errors.Is(err, broken) {
		t.Errorf("a disk that breaks: got %v, want %v", err, broken)
	}
	if _, err := macho.Read(t.Context(), bytes.NewReader(nil), 4<<30+1); err == nil || !strings.Contains(err.Error(), "more than 4294967296 bytes") {
		t.Errorf("a file of more than 4 GB: got %v, want it refused", err)
	}
	p := shop()
	p.Code = strings.Repeat("code", 25<<20)
	file := p.Bytes()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := read(file); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; got > 8<<20 {
		t.Errorf("100 MB: got %d bytes allocated, want at most 8 MB", got)
	}
}

func TestIs(t *testing.T) {
	for _, row := range []struct {
		start string
		want  bool
	}{
		{"\xcf\xfa\xed\xfe....", true}, {"\xce\xfa\xed\xfe....", true}, {"\xfe\xed\xfa\xcf....", true}, {"\xfe\xed\xfa\xce....", true},
		{"\xca\xfe\xba\xbe\x00\x00\x00\x02", true}, {"\xca\xfe\xba\xbf\x00\x00\x00\x02", true},
		{"\xca\xfe\xba\xbe\x00\x00\x00\x34", false}, {"\x7fELF....", false}, {"\xcf\xfa\xed", false}, {"", false},
	} {
		if got := macho.Is([]byte(row.start)); got != row.want {
			t.Errorf("%q: got %t, want %t", row.start, got, row.want)
		}
	}
}

// FuzzRead holds that what is read can be signed anew without a change of the digest, where it has a place for that.
func FuzzRead(f *testing.F) {
	p := shop()
	p.Code = "a little code"
	f.Add(p.Bytes())
	p.Old, p.CryptID = true, 1
	f.Add(p.Bytes())
	p.Unsigned = true
	f.Add(p.Bytes())
	f.Add(machotest.Fat(false, machotest.Program{CPU: 7}.Bytes(), machotest.Program{}.Bytes()))
	f.Fuzz(func(t *testing.T, file []byte) {
		got, err := read(file)
		if err != nil || !got.Signature.Present || binary.BigEndian.Uint32(file) != 0xcffaedfe {
			return
		}
		again, err := read(machotest.Sign(file, machotest.Signer{Identifier: "x", Team: "y"}))
		if err != nil || again.Digest != got.Digest || again.Signature.Team != "y" {
			t.Errorf("signed anew: got %x, %v, want %x", again.Digest, err, got.Digest)
		}
	})
}
