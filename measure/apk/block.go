package apk

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/approovgate/approovgate/measure/zipfile"
)

// The signing block, "APK Signature Scheme v2": its entries lie between its size and its size again with its mark.
const (
	blockMark    = "APK Sig Block 42"
	blockEnds    = 8 + 8 + len(blockMark)
	maxBlock     = 256 << 20 // bytes, of which only those of signatures are read
	maxPairs     = 1024
	maxSignature = 1 << 20 // bytes of one entry
)

// The numbers of entries that hold signatures.
const (
	idV2  = 0x7109871a
	idV3  = 0xf05368c0
	idV31 = 0x1b93ad61
)

// block is the signing block of a package.
type block struct {
	from   int64 // its first byte; where the directory begins if there is none
	values map[uint32][]byte
}

// readBlock reads the signing block before a directory. Of two entries of one number the first counts, as for Android.
func readBlock(r io.ReaderAt, a *zipfile.Archive) (block, error) {
	b := block{from: a.DirectoryOffset(), values: map[uint32][]byte{}}
	end := b.from
	var tail [8 + len(blockMark)]byte
	if end < int64(blockEnds) {
		return b, nil
	}
	if _, err := r.ReadAt(tail[:], end-int64(len(tail))); err != nil {
		return b, err
	}
	if string(tail[8:]) != blockMark {
		return b, nil
	}
	size := binary.LittleEndian.Uint64(tail[:])
	if size < uint64(len(tail)) || size > maxBlock || int64(size)+8 > end {
		return b, fmt.Errorf("its signing block says it has %d bytes", size)
	}
	from := end - int64(size) - 8
	var head [12]byte // of the block 8, of an entry 12
	if _, err := r.ReadAt(head[:8], from); err != nil {
		return b, err
	}
	if binary.LittleEndian.Uint64(head[:]) != size {
		return b, errors.New("its signing block has two sizes")
	}
	b.from = from
	at, last := from+8, end-int64(len(tail))
	for pairs := 0; at < last; pairs++ {
		if last-at < int64(len(head)) || pairs == maxPairs {
			return b, fmt.Errorf("its signing block does not end after an entry, or has more than %d", maxPairs)
		}
		if _, err := r.ReadAt(head[:], at); err != nil {
			return b, err
		}
		length, id := binary.LittleEndian.Uint64(head[:]), binary.LittleEndian.Uint32(head[8:])
		if length < 4 || length > uint64(last-at-8) {
			return b, fmt.Errorf("an entry of its signing block says it has %d bytes", length)
		}
		if _, twice := b.values[id]; !twice && (id == idV2 || id == idV3 || id == idV31) {
			if length > maxSignature {
				return b, fmt.Errorf("a signature in its signing block has %d bytes, at most %d are read", length, maxSignature)
			}
			b.values[id] = make([]byte, length-4)
			if _, err := r.ReadAt(b.values[id], at+12); err != nil {
				return b, err
			}
		}
		at += 8 + int64(length)
	}
	return b, nil
}
