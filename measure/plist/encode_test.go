package plist_test

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"math"
	"sort"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"

	"github.com/approovgate/approovgate/measure/plist"
)

// canonical is a value as one text, the same as testdata/canonical.py makes of it.
func canonical(value any) string {
	switch value := value.(type) {
	case plist.Dict:
		parts := []string{}
		for _, key := range keys(value) {
			parts = append(parts, canonical(key)+":"+canonical(value[key]))
		}
		return "{" + strings.Join(parts, ",") + "}"
	case []any:
		parts := []string{}
		for _, v := range value {
			parts = append(parts, canonical(v))
		}
		return "[" + strings.Join(parts, ",") + "]"
	case string:
		return "s" + hex.EncodeToString([]byte(value))
	case bool:
		return fmt.Sprint(value)
	case float64:
		if math.IsNaN(value) {
			return "nan"
		}
		return fmt.Sprintf("f%016x", math.Float64bits(value))
	case time.Time:
		return value.Format("2006-01-02T15:04:05.000000")
	case []byte:
		return "d" + hex.EncodeToString(value)
	case plist.UID:
		return fmt.Sprintf("uid%d", uint64(value))
	case int64, uint64:
		return fmt.Sprint(value)
	}
	return fmt.Sprintf("not one of the types: %T", value)
}

func keys(dict plist.Dict) []string {
	keys := []string{}
	for key := range dict {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	return keys
}

const prolog = `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
`

// toXML writes the XML form. False: it has no such value, which is a UID, a character that XML has not, or a fraction
// of a second.
func toXML(value any) (string, bool) {
	var b strings.Builder
	ok := writeXML(&b, value)
	return prolog + `<plist version="1.0">` + b.String() + "</plist>\n", ok
}

func writeXML(b *strings.Builder, value any) bool {
	tag := func(name, text string) bool {
		fmt.Fprintf(b, "<%s>", name)
		_ = xml.EscapeText(b, []byte(text))
		fmt.Fprintf(b, "</%s>\n", name)
		return !strings.ContainsFunc(text, func(r rune) bool {
			return r < 0x20 && r != '\t' && r != '\n' && r != '\r' || r == 0xfffe || r == 0xffff
		})
	}
	ok := true
	switch value := value.(type) {
	case plist.Dict:
		b.WriteString("<dict>")
		for _, key := range keys(value) {
			ok = tag("key", key) && writeXML(b, value[key]) && ok
		}
		b.WriteString("</dict>")
	case []any:
		b.WriteString("<array>")
		for _, v := range value {
			ok = writeXML(b, v) && ok
		}
		b.WriteString("</array>")
	case string:
		return tag("string", value)
	case bool:
		fmt.Fprintf(b, "<%t/>", value)
	case float64:
		return tag("real", strconv.FormatFloat(value, 'g', -1, 64))
	case time.Time:
		return tag("date", value.Format("2006-01-02T15:04:05Z")) && value.Nanosecond() == 0
	case []byte:
		return tag("data", base64.StdEncoding.EncodeToString(value))
	case int64, uint64:
		return tag("integer", fmt.Sprint(value))
	default:
		return false
	}
	return ok
}

// binaryWriter writes the binary form, every value as an object of its own.
type binaryWriter struct{ objects [][]byte }

func toBinary(value any) []byte {
	var w binaryWriter
	root := w.add(value)
	return assemble(w.objects, uint64(root))
}

// assemble makes a file of objects whose references have four bytes.
func assemble(objects [][]byte, root uint64) []byte {
	out := []byte("bplist00")
	var table []byte
	for _, object := range objects {
		table = binary.BigEndian.AppendUint32(table, uint32(len(out)))
		out = append(out, object...)
	}
	at := len(out)
	out = append(out, table...)
	out = append(out, 0, 0, 0, 0, 0, 0, 4, 4)
	out = binary.BigEndian.AppendUint64(out, uint64(len(objects)))
	out = binary.BigEndian.AppendUint64(out, root)
	return binary.BigEndian.AppendUint64(out, uint64(at))
}

// head is a marker and a count.
func head(kind byte, count int) []byte {
	if count < 15 {
		return []byte{kind | byte(count)}
	}
	return binary.BigEndian.AppendUint32([]byte{kind | 15, 0x12}, uint32(count))
}

func (w *binaryWriter) add(value any) int {
	at := len(w.objects)
	w.objects = append(w.objects, nil)
	w.objects[at] = w.encode(value)
	return at
}

func (w *binaryWriter) encode(value any) []byte {
	refs := func(out []byte, values []any) []byte {
		for _, v := range values {
			out = binary.BigEndian.AppendUint32(out, uint32(w.add(v)))
		}
		return out
	}
	switch value := value.(type) {
	case plist.Dict:
		all := []any{}
		for _, key := range keys(value) {
			all = append(all, key)
		}
		for _, key := range keys(value) {
			all = append(all, value[key])
		}
		return refs(head(0xd0, len(value)), all)
	case []any:
		return refs(head(0xa0, len(value)), value)
	case string:
		if !strings.ContainsFunc(value, func(r rune) bool { return r > 0x7f }) {
			return append(head(0x50, len(value)), value...)
		}
		units := utf16.Encode([]rune(value))
		out := head(0x60, len(units))
		for _, u := range units {
			out = binary.BigEndian.AppendUint16(out, u)
		}
		return out
	case bool:
		if value {
			return []byte{9}
		}
		return []byte{8}
	case float64:
		return binary.BigEndian.AppendUint64([]byte{0x23}, math.Float64bits(value))
	case time.Time:
		micros := value.UnixMicro() - 978307200e6
		seconds := float64(micros/1e6) + float64(micros%1e6)/1e6 // in two parts: far from the epoch a float has no room for all microseconds
		return binary.BigEndian.AppendUint64([]byte{0x33}, math.Float64bits(seconds))
	case []byte:
		return append(head(0x40, len(value)), value...)
	case plist.UID:
		return binary.BigEndian.AppendUint64([]byte{0x87}, uint64(value))
	case int64:
		return binary.BigEndian.AppendUint64([]byte{0x13}, uint64(value))
	case uint64:
		return binary.BigEndian.AppendUint64(append([]byte{0x14}, make([]byte, 8)...), value)
	}
	panic(fmt.Sprintf("%T", value))
}
