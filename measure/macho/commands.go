package macho

import (
	"encoding/binary"
	"errors"
	"fmt"
)

const headerSize = 32 // bytes of struct mach_header_64

// The load commands that are read (mach-o/loader.h). All others only go into the digest.
const (
	cmdSegment       = 0x19 // LC_SEGMENT_64
	cmdSignature     = 0x1d // LC_CODE_SIGNATURE
	cmdEncryption    = 0x21 // LC_ENCRYPTION_INFO
	cmdEncryption64  = 0x2c // LC_ENCRYPTION_INFO_64
	cmdMinIOS        = 0x25 // LC_VERSION_MIN_IPHONEOS
	cmdBuildVersion  = 0x32 // LC_BUILD_VERSION
	segmentSize      = 72   // bytes of struct segment_command_64
	executable       = 4    // VM_PROT_EXECUTE, of a segment's initial protection (mach/vm_prot.h)
	encryptionFields = 20   // of struct encryption_info_command up to its cryptid
)

// commands is what the load commands say.
type commands struct {
	signed                     bool
	signatureAt, signatureSize int64
	encryption, encrypted      bool
	platform                   Platform
	minOS                      string
	segmentsEnd                int64 // where the last byte of a segment ends, other than of __LINKEDIT
	linkedit                   bool
	linkeditAt, linkeditEnd    int64
}

// readCommands reads load commands, and puts zeros in place of what signing and encryption write there.
func readCommands(all []byte, count int64) (*commands, error) {
	if count > MaxCommands {
		return nil, fmt.Errorf("it has %d load commands, at most %d are read", count, MaxCommands)
	}
	c := &commands{}
	le := binary.LittleEndian
	for i, rest := int64(0), all; i < count; i++ {
		if len(rest) < 8 {
			return nil, fmt.Errorf("its load command %d is cut off", i+1)
		}
		size := le.Uint32(rest[4:])
		if size < 8 || size%8 != 0 || int64(size) > int64(len(rest)) {
			return nil, fmt.Errorf("its load command %d has %d bytes, want a multiple of 8 of the %d that are left", i+1, size, len(rest))
		}
		if err := c.read(le.Uint32(rest), rest[:size]); err != nil {
			return nil, fmt.Errorf("its load command %d: %w", i+1, err)
		}
		rest = rest[size:]
	}
	return c, nil
}

var errShort = errors.New("it is too short for its kind")

// read reads one load command.
func (c *commands) read(kind uint32, command []byte) error {
	le := binary.LittleEndian
	switch kind {
	case cmdSegment:
		if len(command) < segmentSize {
			return errShort
		}
		return c.readSegment(command)
	case cmdSignature:
		switch {
		case len(command) != 16:
			return errShort
		case c.signed:
			return errors.New("it is a second code signature")
		}
		c.signed, c.signatureAt, c.signatureSize = true, int64(le.Uint32(command[8:])), int64(le.Uint32(command[12:]))
		clear(command[8:16])
	case cmdEncryption, cmdEncryption64:
		switch {
		case len(command) < encryptionFields:
			return errShort
		case c.encryption:
			return errors.New("it is a second one of encryption")
		}
		c.encryption, c.encrypted = true, le.Uint32(command[16:]) != 0
		clear(command[8:encryptionFields])
	case cmdBuildVersion:
		if len(command) < 24 {
			return errShort
		}
		c.setPlatform(Platform(le.Uint32(command[8:])), le.Uint32(command[12:]))
	case cmdMinIOS:
		if len(command) < 16 {
			return errShort
		}
		c.setPlatform(IOS, le.Uint32(command[8:]))
	}
	return nil
}

// setPlatform keeps what the first command of several says.
func (c *commands) setPlatform(p Platform, version uint32) {
	if c.platform != 0 {
		return
	}
	c.platform, c.minOS = p, fmt.Sprintf("%d.%d", version>>16, version>>8&0xff)
	if patch := version & 0xff; patch != 0 {
		c.minOS += fmt.Sprintf(".%d", patch)
	}
}

// readSegment reads an LC_SEGMENT_64.
func (c *commands) readSegment(command []byte) error {
	at, length := binary.LittleEndian.Uint64(command[40:]), binary.LittleEndian.Uint64(command[48:])
	if at > MaxSize || length > MaxSize {
		return errors.New("its segment goes beyond the end")
	}
	end := int64(at + length)
	if string(command[8:24]) != "__LINKEDIT\x00\x00\x00\x00\x00\x00" {
		if length > 0 {
			c.segmentsEnd = max(c.segmentsEnd, end)
		}
		return nil
	}
	if c.linkedit {
		return errors.New("it is a second __LINKEDIT")
	}
	if binary.LittleEndian.Uint32(command[60:])&executable != 0 { // the signature, which is not in the digest, is in it
		return errors.New("its __LINKEDIT can be run")
	}
	c.linkedit, c.linkeditAt, c.linkeditEnd = true, int64(at), end
	clear(command[32:40]) // vmsize
	clear(command[48:56]) // filesize
	return nil
}

// check compares places with the size of the executable, and holds that the digest covers what segments map.
func (c *commands) check(headerEnd, size int64) error {
	if c.segmentsEnd > size || c.linkeditEnd > size {
		return errors.New("a segment goes beyond the end")
	}
	if !c.signed {
		return nil
	}
	switch end := c.signatureAt + c.signatureSize; {
	case c.signatureAt < headerEnd || end > size:
		return errors.New("its code signature is outside the file")
	case c.signatureSize > MaxSignature:
		return fmt.Errorf("its code signature has more than %d bytes", MaxSignature)
	case !c.linkedit || c.signatureAt < c.linkeditAt || end > c.linkeditEnd:
		return errors.New("its code signature is not in __LINKEDIT")
	case c.segmentsEnd > c.signatureAt:
		return errors.New("a segment goes beyond where its code signature begins")
	}
	return nil
}
