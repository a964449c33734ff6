package axml

import (
	"fmt"
	"math"
	"strconv"
)

// The kinds of values, Res_value in ResourceTypes.h.
const (
	KindReference = 0x01 // to a resource
	KindString    = 0x03
	kindFloat     = 0x04
	KindInteger   = 0x10
	kindHex       = 0x11
	KindBoolean   = 0x12
	kindLastInt   = 0x1f
)

// Value is what an attribute or a resource is set to. The zero Value is that of one that is not set.
type Value struct {
	Kind uint8
	Data uint32 // a number, or a resource's number
	text string
}

// Text is the value as Android makes a string of it (TypedValue.coerceToString): of a string itself, of numbers their
// digits, of others nothing.
func (v Value) Text() string {
	switch {
	case v.Kind == KindString:
		return v.text
	case v.Kind == kindFloat:
		f := math.Float32frombits(v.Data)
		if f == float32(math.Trunc(float64(f))) && math.Abs(float64(f)) < 1e7 {
			return strconv.FormatFloat(float64(f), 'f', 1, 32)
		}
		return strconv.FormatFloat(float64(f), 'g', -1, 32)
	case v.Kind == kindHex:
		return fmt.Sprintf("%#x", v.Data)
	case v.Kind == KindBoolean:
		return strconv.FormatBool(v.Data != 0)
	case v.Kind >= KindInteger && v.Kind <= kindLastInt:
		return strconv.Itoa(int(int32(v.Data)))
	}
	return ""
}

// Integer is the value if it is a number; else what a string's digits say.
func (v Value) Integer() (uint32, bool) {
	if v.Kind >= KindInteger && v.Kind <= kindLastInt {
		return v.Data, true
	}
	n, err := strconv.ParseUint(v.text, 10, 32)
	return uint32(n), v.Kind == KindString && err == nil
}
