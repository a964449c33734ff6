package plist

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"
	"unicode/utf16"
)

// The binary form (Apple's CFBinaryPList.c): the magic and version, objects, a table of where each object begins, and
// a trailer that says how wide the table's numbers are and which object is the root. Numbers are big-endian.
const (
	binaryMagic   = "bplist00"
	trailerSize   = 32
	appleEpoch    = 978307200 // 2001-01-01T00:00:00Z in Unix time: dates count seconds from there
	maxDateOffset = 1 << 40   // seconds from there: more than the years 1 to 9999
)

// binaryReader reads the objects of one binary property list.
type binaryReader struct {
	data       []byte // up to the trailer
	table      []byte // where the objects begin
	offsetSize int    // bytes of a number in the table
	refSize    int    // bytes of a reference to an object
	budget     budget
	open       map[uint64]bool // the containers being read: one of them within itself is a cycle
}

var errCut = errors.New("plist: an object goes beyond the end")

func parseBinary(data []byte) (any, error) {
	if len(data) < len(binaryMagic)+trailerSize {
		return nil, errors.New("plist: the binary form is cut off")
	}
	if string(data[:len(binaryMagic)]) != binaryMagic {
		return nil, fmt.Errorf("plist: the binary form has version %q, only 00 is known", data[6:8])
	}
	trailer := data[len(data)-trailerSize:]
	r := &binaryReader{
		data:       data[:len(data)-trailerSize],
		offsetSize: int(trailer[6]),
		refSize:    int(trailer[7]),
		budget:     newBudget(),
		open:       map[uint64]bool{},
	}
	objects := binary.BigEndian.Uint64(trailer[8:])
	root := binary.BigEndian.Uint64(trailer[16:])
	tableAt := binary.BigEndian.Uint64(trailer[24:])
	switch size := uint64(len(r.data)); {
	case r.offsetSize < 1 || r.offsetSize > 8 || r.refSize < 1 || r.refSize > 8:
		return nil, fmt.Errorf("plist: numbers of %d and %d bytes in the trailer, 1 to 8 are allowed", r.offsetSize, r.refSize)
	case tableAt < uint64(len(binaryMagic)) || tableAt > size:
		return nil, errors.New("plist: the table of objects is outside the file")
	case objects > (size-tableAt)/uint64(r.offsetSize):
		return nil, errors.New("plist: the table of objects goes beyond the end")
	}
	r.table = r.data[tableAt : tableAt+objects*uint64(r.offsetSize)]
	r.data = r.data[:tableAt] // no object stands in the table
	return r.value(root, 1)
}

// number is the big-endian number in at most eight bytes.
func number(b []byte) uint64 {
	var n uint64
	for _, c := range b {
		n = n<<8 | uint64(c)
	}
	return n
}

// bytes are the n bytes from at.
func (r *binaryReader) bytes(at, n uint64) ([]byte, error) {
	size := uint64(len(r.data))
	if at > size || n > size-at {
		return nil, errCut
	}
	return r.data[at : at+n], nil
}

// value reads the object of a reference. Depth is that of the value, the root's is 1.
func (r *binaryReader) value(ref uint64, depth int) (any, error) {
	if ref >= uint64(len(r.table)/r.offsetSize) {
		return nil, fmt.Errorf("plist: there is no object %d", ref)
	}
	if depth > MaxDepth {
		return nil, errDepth
	}
	at := number(r.table[int(ref)*r.offsetSize:][:r.offsetSize])
	if at < uint64(len(binaryMagic)) {
		return nil, errors.New("plist: an object is outside the file")
	}
	marker, err := r.bytes(at, 1)
	if err != nil {
		return nil, err
	}
	kind, low := marker[0]>>4, marker[0]&15
	at++
	switch kind {
	case 0x0, 0x1, 0x2, 0x3, 0x8:
		if err := r.budget.take(0); err != nil {
			return nil, err
		}
		return r.scalar(kind, low, at)
	case 0x4, 0x5, 0x6, 0xa, 0xd:
		count, at, err := r.count(low, at)
		if err != nil {
			return nil, err
		}
		switch kind {
		case 0xa, 0xd:
			if r.open[ref] {
				return nil, fmt.Errorf("plist: object %d contains itself", ref)
			}
			r.open[ref] = true
			defer delete(r.open, ref)
			if err := r.budget.take(0); err != nil {
				return nil, err
			}
			if kind == 0xa {
				return r.array(count, at, depth)
			}
			return r.dict(count, at, depth)
		}
		return r.content(kind, count, at)
	}
	return nil, fmt.Errorf("plist: an object has the marker %#02x, which no property list has", marker[0])
}

// count is how many there are of what follows: the low half of the marker, or a number of its own after it.
func (r *binaryReader) count(low byte, at uint64) (count, next uint64, err error) {
	if low != 15 {
		return uint64(low), at, nil
	}
	marker, err := r.bytes(at, 1)
	if err != nil {
		return 0, 0, err
	}
	if marker[0]>>4 != 1 || marker[0]&15 > 3 {
		return 0, 0, fmt.Errorf("plist: a count has the marker %#02x, want an integer", marker[0])
	}
	width := uint64(1) << (marker[0] & 15)
	digits, err := r.bytes(at+1, width)
	if err != nil {
		return 0, 0, err
	}
	count = number(digits)
	if count > MaxSize {
		return 0, 0, errCut
	}
	return count, at + 1 + width, nil
}

// scalar reads the kinds whose size the marker tells.
func (r *binaryReader) scalar(kind, low byte, at uint64) (any, error) {
	if kind == 0x0 {
		switch low {
		case 0x8, 0x9:
			return low == 0x9, nil
		}
		return nil, fmt.Errorf("plist: an object has the marker %#02x, which no property list has", low)
	}
	width := uint64(1) << low
	if kind == 0x8 {
		width = uint64(low) + 1
	}
	b, err := r.bytes(at, width)
	if err != nil {
		return nil, err
	}
	switch {
	case kind == 0x1 && width <= 4: // without a sign
		return int64(number(b)), nil
	case kind == 0x1 && width == 8:
		return int64(number(b)), nil
	case kind == 0x1 && width == 16:
		return wide(number(b[:8]), number(b[8:]))
	case kind == 0x2 && width == 4:
		return float64(math.Float32frombits(uint32(number(b)))), nil
	case kind == 0x2 && width == 8:
		return math.Float64frombits(number(b)), nil
	case kind == 0x3 && width == 8:
		return binaryDate(math.Float64frombits(number(b)))
	case kind == 0x8 && width <= 8:
		return UID(number(b)), nil
	}
	return nil, fmt.Errorf("plist: a number has %d bytes", width)
}

// wide is an integer of 16 bytes, which stands where 8 bytes do not hold it without a sign.
func wide(high, low uint64) (any, error) {
	switch {
	case high == 0 && low > math.MaxInt64:
		return low, nil
	case high == 0 || high == math.MaxUint64 && low > math.MaxInt64:
		return int64(low), nil
	}
	return nil, errors.New("plist: an integer has more than 64 bits")
}

// binaryDate is a date of seconds since Apple's epoch, to the microsecond: a float has no more for our time.
func binaryDate(seconds float64) (any, error) {
	if !(math.Abs(seconds) < maxDateOffset) { // so that a NaN is refused, too
		return nil, errors.New("plist: a date is outside the years 1 to 9999")
	}
	whole := math.Floor(seconds)
	date := time.Unix(appleEpoch+int64(whole), int64(math.RoundToEven((seconds-whole)*1e6))*1000).UTC()
	return date, checkDate(date)
}

// content reads data and strings.
func (r *binaryReader) content(kind byte, count, at uint64) (any, error) {
	size := count
	if kind == 0x6 {
		size = 2 * count
	}
	b, err := r.bytes(at, size)
	if err != nil {
		return nil, err
	}
	if err := r.budget.take(len(b)); err != nil {
		return nil, err
	}
	switch kind {
	case 0x4:
		return append([]byte{}, b...), nil
	case 0x5:
		for _, c := range b {
			if c > 0x7f {
				return nil, fmt.Errorf("plist: the string %.80q is not ASCII, as its marker says", b)
			}
		}
		return string(b), nil
	}
	units := make([]uint16, count)
	for i := range units {
		units[i] = binary.BigEndian.Uint16(b[2*i:])
	}
	return decodeUTF16(units)
}

// decodeUTF16 refuses half a surrogate pair, of which others make different things.
func decodeUTF16(units []uint16) (string, error) {
	for i := 0; i < len(units); i++ {
		if !utf16.IsSurrogate(rune(units[i])) {
			continue
		}
		if i+1 == len(units) || utf16.DecodeRune(rune(units[i]), rune(units[i+1])) == '\uFFFD' {
			return "", errors.New("plist: a string has half a UTF-16 surrogate pair")
		}
		i++
	}
	return string(utf16.Decode(units)), nil
}

// refs are the references of a container. The count is at most MaxSize.
func (r *binaryReader) refs(count, at uint64) ([]byte, error) {
	return r.bytes(at, count*uint64(r.refSize))
}

func (r *binaryReader) array(count, at uint64, depth int) (any, error) {
	refs, err := r.refs(count, at)
	if err != nil {
		return nil, err
	}
	array := []any{}
	for ; len(refs) > 0; refs = refs[r.refSize:] {
		value, err := r.value(number(refs[:r.refSize]), depth+1)
		if err != nil {
			return nil, err
		}
		array = append(array, value)
	}
	return array, nil
}

// dict reads a dictionary: the references of all keys, then those of all values.
func (r *binaryReader) dict(count, at uint64, depth int) (any, error) {
	refs, err := r.refs(2*count, at)
	if err != nil {
		return nil, err
	}
	dict := Dict{}
	keys, values := refs[:len(refs)/2], refs[len(refs)/2:]
	for ; len(keys) > 0; keys, values = keys[r.refSize:], values[r.refSize:] {
		key, err := r.value(number(keys[:r.refSize]), depth+1)
		if err != nil {
			return nil, err
		}
		name, ok := key.(string)
		if !ok {
			return nil, errors.New("plist: a key of a dictionary is not a string")
		}
		value, err := r.value(number(values[:r.refSize]), depth+1)
		if err != nil {
			return nil, err
		}
		if err := dict.put(name, value); err != nil {
			return nil, err
		}
	}
	return dict, nil
}
