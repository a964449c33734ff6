// Package machotest writes Mach-O executables for tests: small ones of its own, and new signatures for any. No program
// links it.
//
// Start reading at Program.
package machotest

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"slices"
)

// The layout of a Program: a page of header, code, and __LINKEDIT.
const (
	page       = 0x400 // devices have 0x4000; small files are fuzzed better
	headerSize = 32
	cpuARM64   = 0x0100000c
)

// Program is an executable to be written. The zero Program is one for iOS devices without code.
type Program struct {
	Code      string
	Libraries []string
	LinkEdit  string // in front of the signature
	CPU       uint32 // zero: arm64
	Platform  uint32 // zero: iOS
	MinOS     uint32 // such as 0x000f0000 for 15.0
	CryptID   uint32 // 1: encrypted, as the store does
	CryptAt   uint32
	Old       bool // names its platform and encryption as old linkers did
	Unsigned  bool
	Signer    Signer
}

// Signer is what a signature says.
type Signer struct {
	Identifier, Team string
	Adhoc            bool
	Version          uint32 // of the code directory; zero: 0x20400
	Entitlements     string // a property list
	Certificates     string // whatever stands in the place of the certificates
}

// Bytes is the program's file.
func (p Program) Bytes() []byte {
	le := binary.LittleEndian
	var commands []byte
	count := uint32(0)
	add := func(kind uint32, words ...any) {
		body := []byte{}
		for _, w := range words {
			switch w := w.(type) {
			case uint32:
				body = le.AppendUint32(body, w)
			case uint64:
				body = le.AppendUint64(body, w)
			case string:
				body = append(body, w...)
			}
		}
		for len(body)%8 != 0 {
			body = append(body, 0)
		}
		commands = le.AppendUint32(le.AppendUint32(commands, kind), uint32(8+len(body)))
		commands, count = append(commands, body...), count+1
	}
	segment := func(name string, address, size, at, length uint64, protection uint32) {
		add(0x19, string(append([]byte(name), make([]byte, 16-len(name))...)), address, size, at, length, protection, protection, uint32(0), uint32(0))
	}
	text := page + uint64(len(p.Code)+page-1)/page*page
	linkEdit := p.LinkEdit + string(make([]byte, (16-len(p.LinkEdit)%16)%16))
	segment("__PAGEZERO", 0, 1<<32, 0, 0, 0)
	segment("__TEXT", 1<<32, text, 0, text, 5)
	segment("__LINKEDIT", 1<<32+text, page, text, uint64(len(linkEdit)), 1)
	platform, crypt := p.Platform, []any{p.CryptAt, uint32(text) - page, p.CryptID, uint32(0)}
	if platform == 0 {
		platform = 2
	}
	if p.Old {
		add(0x25, p.MinOS, p.MinOS)
		add(0x21, crypt[:3]...)
	} else {
		add(0x32, platform, p.MinOS, p.MinOS, uint32(0))
		add(0x2c, crypt...)
	}
	for _, library := range p.Libraries {
		add(0xc, uint32(24), uint32(2), uint32(0), uint32(0), library+"\x00")
	}
	if !p.Unsigned {
		add(0x1d, uint32(text)+uint32(len(linkEdit)), uint32(0))
	}
	cpu := p.CPU
	if cpu == 0 {
		cpu = cpuARM64
	}
	out := le.AppendUint32(nil, 0xfeedfacf)
	for _, word := range []uint32{cpu, 0, 2, count, uint32(len(commands)), 0x200085, 0} {
		out = le.AppendUint32(out, word)
	}
	out = append(out, commands...)
	out = append(out, make([]byte, page-len(out))...)
	out = append(out, p.Code...)
	out = append(out, make([]byte, int(text)-len(out))...)
	out = append(out, linkEdit...)
	if p.Unsigned {
		return out
	}
	return Sign(out, p.Signer)
}

// Sign gives a thin 64-bit executable, little-endian, that has a place for one another signature.
func Sign(file []byte, s Signer) []byte {
	le := binary.LittleEndian
	file = slices.Clone(file)
	var at, signature, linkEdit uint32
	for i, count := uint32(headerSize), le.Uint32(file[16:]); count > 0; count-- {
		switch {
		case le.Uint32(file[i:]) == 0x1d:
			at, signature = le.Uint32(file[i+8:]), i
		case le.Uint32(file[i:]) == 0x19 && bytes.HasPrefix(file[i+8:], []byte("__LINKEDIT\x00")):
			linkEdit = i
		}
		i += le.Uint32(file[i+4:])
	}
	file = file[:at]
	size := uint32(len(s.blob(file)))
	le.PutUint32(file[signature+12:], size)
	length := uint64(at+size) - le.Uint64(file[linkEdit+40:])
	le.PutUint64(file[linkEdit+48:], length)
	le.PutUint64(file[linkEdit+32:], (length+page-1)/page*page)
	return append(file, s.blob(file)...) // its hashes are of the header as it is now
}

// blob is the signature of what stands in front of it.
func (s Signer) blob(code []byte) []byte {
	type part struct {
		slot uint32
		data []byte
	}
	parts := []part{{0, s.directory(code)}}
	if s.Entitlements != "" {
		parts = append(parts, part{5, wrap(0xfade7171, []byte(s.Entitlements))})
	}
	parts = append(parts, part{0x10000, wrap(0xfade0b01, []byte(s.Certificates))})
	be := binary.BigEndian
	body := be.AppendUint32(nil, uint32(len(parts)))
	at := uint32(12 + 8*len(parts))
	for _, p := range parts {
		body = be.AppendUint32(be.AppendUint32(body, p.slot), at)
		at += uint32(len(p.data))
	}
	for _, p := range parts {
		body = append(body, p.data...)
	}
	return wrap(0xfade0cc0, body)
}

// wrap puts a mark and the length in front.
func wrap(magic uint32, body []byte) []byte {
	out := binary.BigEndian.AppendUint32(nil, magic)
	out = binary.BigEndian.AppendUint32(out, uint32(8+len(body)))
	return append(out, body...)
}

// directory is a code directory with a hash of each page.
func (s Signer) directory(code []byte) []byte {
	be := binary.BigEndian
	version := s.Version
	if version == 0 {
		version = 0x20400
	}
	const fixed = 88 // bytes of version 0x20400
	texts := s.Identifier + "\x00"
	teamAt := uint32(0)
	if s.Team != "" {
		teamAt = fixed + uint32(len(texts))
		texts += s.Team + "\x00"
	}
	pages := (len(code) + page - 1) / page
	flags := uint32(0)
	if s.Adhoc {
		flags = 2
	}
	var b []byte
	for _, word := range []uint32{version, flags, fixed + uint32(len(texts)), fixed, 0, uint32(pages), uint32(len(code)), 32<<24 | 2<<16 | 10, 0, 0, teamAt} {
		b = be.AppendUint32(b, word)
	}
	b = append(b, make([]byte, fixed-8-len(b))...)
	b = append(b, texts...)
	for chunk := range slices.Chunk(code, page) {
		sum := sha256.Sum256(chunk)
		b = append(b, sum[:]...)
	}
	return wrap(0xfade0c02, b)
}

// Fat makes a universal executable. The processors are those of the executables' headers.
func Fat(wide bool, programs ...[]byte) []byte {
	be := binary.BigEndian
	magic, entry := uint32(0xcafebabe), 20
	if wide {
		magic, entry = 0xcafebabf, 32
	}
	out := be.AppendUint32(be.AppendUint32(nil, magic), uint32(len(programs)))
	at := 8 + entry*len(programs)
	var body []byte
	for _, p := range programs {
		gap := (page - (at+len(body))%page) % page
		body = append(body, make([]byte, gap)...)
		cpu, subtype := binary.LittleEndian.Uint32(p[4:]), binary.LittleEndian.Uint32(p[8:])
		out = be.AppendUint32(be.AppendUint32(out, cpu), subtype)
		if wide {
			out = be.AppendUint64(be.AppendUint64(out, uint64(at+len(body))), uint64(len(p)))
			out = be.AppendUint32(be.AppendUint32(out, 10), 0)
		} else {
			out = be.AppendUint32(be.AppendUint32(out, uint32(at+len(body))), uint32(len(p)))
			out = be.AppendUint32(out, 10)
		}
		body = append(body, p...)
	}
	return append(out, body...)
}
