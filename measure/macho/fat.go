package macho

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// findSlice reads the header of a universal executable, of which the first eight bytes were read, and says where the
// executable for arm64 is. The others are not read: the store gives a device only its own.
func findSlice(s *stream, start []byte) (at, length int64, err error) {
	be := binary.BigEndian
	count := int64(be.Uint32(start[4:]))
	if count > MaxSlices {
		return 0, 0, fmt.Errorf("it has %d slices, at most %d are read", count, MaxSlices)
	}
	wide := be.Uint32(start) == fatMagic64
	entry := int64(20) // of struct fat_arch
	if wide {
		entry = 32 // of struct fat_arch_64
	}
	size := s.at + s.left
	table, err := s.next(count * entry)
	if err != nil {
		return 0, 0, err
	}
	var others []uint32
	found := false
	for ; len(table) > 0; table = table[entry:] {
		if c := be.Uint32(table); c != cpuARM64 {
			others = append(others, c)
			continue
		}
		if found {
			return 0, 0, errors.New("it has more than one slice for arm64, one of them most likely for arm64e, " +
				"of which the store would leave one out: remove that with lipo -remove arm64e")
		}
		found = true
		from, n := uint64(be.Uint32(table[8:])), uint64(be.Uint32(table[12:]))
		if wide {
			from, n = be.Uint64(table[8:]), be.Uint64(table[16:])
		}
		if from < uint64(s.at) || from > uint64(size) || n > uint64(size)-from {
			return 0, 0, fmt.Errorf("its slice for arm64 of %d bytes at %d is outside the file", n, from)
		}
		at, length = int64(from), int64(n)
	}
	if !found {
		return 0, 0, fmt.Errorf("%w, but %s", ErrNoARM64, archNames(others))
	}
	return at, length, nil
}
