// Package macho reads what an iOS executable says of itself, and a digest of it that stays the same when the app store
// signs the app anew.
//
// It owns the Mach-O format (Apple's mach-o/loader.h, mach-o/fat.h and xnu's cs_blobs.h) as far as that needs it. It
// checks no signature: iOS does, and what a signature says here is what whoever signed wanted it to say. It trusts no
// file: it reads once from beginning to end, and whatever a file holds, the memory and work taken stay below the
// bounds here and the answer is a File or an error.
//
// # The digest
//
// Digest is the SHA-256 of the executable for arm64, from its header up to where its code signature begins, with
// zeros in place of what signing and encryption write into its load commands: where the signature is and how long
// (LC_CODE_SIGNATURE), what is encrypted and whether (LC_ENCRYPTION_INFO, LC_ENCRYPTION_INFO_64), and how long
// __LINKEDIT is, at whose end the signature stands. The load commands themselves stay in. So the digest is another one
// when any byte of code or data is changed, when a library is added, and when the platform or a segment's protection
// is; it is the same when another certificate signs. All bytes that a segment maps are in it but those of __LINKEDIT
// from the signature on, which are never run.
//
// Start reading at Read.
package macho

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
)

// The bounds of an executable. Large apps have 300 MB, 60 kB of load commands and 4 MB of signature, a hash of 32 bytes,
// and often another one of 20, for each 4 kB.
const (
	MaxSize      = 4 << 30 // bytes: the format's own offsets have 32 bits
	MaxSlices    = 32      // executables in a universal one
	MaxCommands  = 10_000  // load commands
	MaxHeader    = 1 << 20 // bytes of them
	MaxSignature = 8 << 20 // bytes of a code signature
	readSize     = 1 << 20 // bytes read at once, after which a context's end is seen
)

// ErrNoARM64 is in the error of an executable that has no code that iOS devices can run or load.
var ErrNoARM64 = errors.New("no arm64 code")

// File is what an executable says of itself.
type File struct {
	Digest    [sha256.Size]byte // see the package's comment; zero if it is Encrypted
	Encrypted bool              // by the store: what stands there is not the code
	Platform  Platform          // zero: it does not say
	MinOS     string            // such as 15.0, the oldest system that runs it; empty: it does not say
	Signature Signature
}

// Platform is what a program runs on (mach-o/loader.h, PLATFORM_IOS and others).
type Platform uint32

// The platforms that matter here.
const (
	MacOS        Platform = 1
	IOS          Platform = 2
	Catalyst     Platform = 6
	IOSSimulator Platform = 7
)

// String is the platform's name.
func (p Platform) String() string {
	names := []string{"no platform", "macOS", "iOS", "tvOS", "watchOS", "bridgeOS", "Mac Catalyst", "the iOS simulator",
		"the tvOS simulator", "the watchOS simulator", "DriverKit", "visionOS", "the visionOS simulator"}
	if int(p) < len(names) {
		return names[p]
	}
	return fmt.Sprintf("platform %d", uint32(p))
}

// Is says whether a file that begins with these bytes, eight or more, is an executable of any kind. A universal one
// shares its mark with Java's classes, which have a version above 44 where it has the number of its executables.
func Is(start []byte) bool {
	if len(start) < 8 {
		return false
	}
	switch binary.BigEndian.Uint32(start) {
	case fatMagic, fatMagic64:
		return binary.BigEndian.Uint32(start[4:]) <= MaxSlices
	case magic64, magic32, bigMagic64, bigMagic32:
		return true
	}
	return false
}

// The marks that executables begin with, as big-endian numbers.
const (
	fatMagic   = 0xcafebabe
	fatMagic64 = 0xcafebabf
	magic64    = 0xcffaedfe // 0xfeedfacf, little-endian
	magic32    = 0xcefaedfe
	bigMagic64 = 0xfeedfacf
	bigMagic32 = 0xfeedface
)

// Read reads the executable of size bytes that a reader brings. Of a universal one it reads the executable for arm64.
func Read(ctx context.Context, r io.Reader, size int64) (File, error) {
	f, err := read(ctx, r, size)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = errors.New("it is cut off")
	}
	if err != nil {
		return File{}, fmt.Errorf("Mach-O: %w", err)
	}
	return f, nil
}

func read(ctx context.Context, r io.Reader, size int64) (File, error) {
	if size > MaxSize {
		return File{}, fmt.Errorf("it has more than %d bytes", int64(MaxSize))
	}
	s := &stream{ctx: ctx, r: io.LimitReader(r, size), left: size}
	start, err := s.next(8)
	if err != nil {
		return File{}, err
	}
	switch binary.BigEndian.Uint32(start) {
	case magic64:
		return readSlice(s, start)
	case magic32, bigMagic64, bigMagic32:
		return File{}, fmt.Errorf("%w, but %s", ErrNoARM64, archName(cpu(start)))
	case fatMagic, fatMagic64:
	default:
		return File{}, errors.New("it is no executable")
	}
	at, length, err := findSlice(s, start)
	if err != nil {
		return File{}, err
	}
	if err := s.copy(io.Discard, at-s.at); err != nil {
		return File{}, err
	}
	s.left = length
	if start, err = s.next(8); err != nil {
		return File{}, err
	}
	if string(start) == "!<arch>\n" {
		return File{}, fmt.Errorf("%w, but a static library, which is linked and never loaded", ErrNoARM64)
	}
	if binary.BigEndian.Uint32(start) != magic64 {
		return File{}, errors.New("its slice for arm64 is no executable")
	}
	return readSlice(s, start)
}

// stream is what is left of a file.
type stream struct {
	ctx      context.Context
	r        io.Reader
	at, left int64
}

// next are the next n bytes.
func (s *stream) next(n int64) ([]byte, error) {
	if n > s.left {
		return nil, io.ErrUnexpectedEOF
	}
	b := make([]byte, n)
	_, err := io.ReadFull(s.r, b)
	s.at, s.left = s.at+n, s.left-n
	return b, err
}

// copy gives the next n bytes to a writer.
func (s *stream) copy(w io.Writer, n int64) error {
	if n > s.left {
		return io.ErrUnexpectedEOF
	}
	s.at, s.left = s.at+n, s.left-n
	for n > 0 {
		if err := s.ctx.Err(); err != nil {
			return err
		}
		done, err := io.CopyN(w, s.r, min(n, readSize))
		if n -= done; err != nil {
			return err
		}
	}
	return nil
}

// readSlice reads one executable, of which the first eight bytes were read and no more is left than belongs to it.
func readSlice(s *stream, start []byte) (File, error) {
	size := s.left + int64(len(start))
	if c := cpu(start); c != cpuARM64 {
		return File{}, fmt.Errorf("%w, but %s", ErrNoARM64, archName(c))
	}
	rest, err := s.next(headerSize - int64(len(start)))
	if err != nil {
		return File{}, err
	}
	header := append(start, rest...)
	length := int64(binary.LittleEndian.Uint32(header[20:]))
	if length > MaxHeader {
		return File{}, fmt.Errorf("its load commands have more than %d bytes", MaxHeader)
	}
	commands, err := s.next(length)
	if err != nil {
		return File{}, err
	}
	c, err := readCommands(commands, int64(binary.LittleEndian.Uint32(header[16:])))
	if err != nil {
		return File{}, err
	}
	if err := c.check(headerSize+length, size); err != nil {
		return File{}, err
	}
	f := File{Encrypted: c.encrypted, Platform: c.platform, MinOS: c.minOS}
	end := size
	if c.signed {
		end = c.signatureAt
	}
	hash := sha256.New()
	hash.Write(header)
	hash.Write(commands) // readCommands has put zeros where they belong
	if err := s.copy(hash, end-headerSize-length); err != nil {
		return File{}, err
	}
	if !f.Encrypted {
		hash.Sum(f.Digest[:0])
	}
	if c.signed {
		blob, err := s.next(c.signatureSize)
		if err != nil {
			return File{}, err
		}
		if f.Signature, err = readSignature(blob); err != nil {
			return File{}, fmt.Errorf("its code signature: %w", err)
		}
	}
	return f, nil
}

// cpu is the processor of a thin executable's first eight bytes.
func cpu(start []byte) uint32 {
	if start[0] == 0xfe {
		return binary.BigEndian.Uint32(start[4:])
	}
	return binary.LittleEndian.Uint32(start[4:])
}

// The processors by number (mach/machine.h).
const (
	cpuI386    = 7
	cpuARM     = 12
	cpuX86     = 0x01000007
	cpuARM64   = 0x0100000c
	cpuARM6432 = 0x0200000c
)

// archName says what a processor's code is there for.
func archName(cpu uint32) string {
	switch cpu {
	case cpuX86:
		return "x86_64: a simulator build"
	case cpuI386:
		return "i386: a simulator build"
	case cpuARM:
		return "32-bit arm: for devices before 2013"
	case cpuARM6432:
		return "arm64_32: for watches"
	}
	return fmt.Sprintf("processor %#x", cpu)
}

func archNames(cpus []uint32) string {
	names := []string{}
	for _, cpu := range cpus {
		names = append(names, archName(cpu))
	}
	return strings.Join(names, "; ")
}
