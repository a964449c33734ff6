package plist

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
)

const dateLayout = "2006-01-02T15:04:05Z"

// What may stand in front of the root, as regular expressions.
const (
	declaration = `^xml version=["']1\.0["'](\s+encoding=["'][A-Za-z0-9._-]+["'])?(\s+standalone=["'](yes|no)["'])?\s*$`
	doctype     = `^DOCTYPE\s+plist(\s+SYSTEM|\s+PUBLIC\s+"[A-Za-z0-9 /.-]*")?\s+"[A-Za-z0-9:/._-]*"\s*$`
)

// xmlReader reads the elements of one XML property list (Apple's PropertyList-1.0.dtd).
type xmlReader struct {
	decoder *xml.Decoder
	budget  budget
}

func parseXML(data []byte) (any, error) {
	data, err := toUTF8(data)
	if err != nil {
		return nil, err
	}
	if !bytes.HasPrefix(bytes.TrimLeft(data, " \t\r\n"), []byte("<")) {
		return nil, errors.New("plist: it is neither XML nor binary")
	}
	r := &xmlReader{xml.NewDecoder(bytes.NewReader(data)), newBudget()}
	r.decoder.CharsetReader = func(charset string, input io.Reader) (io.Reader, error) {
		switch strings.ToLower(charset) {
		case "utf-16", "us-ascii": // the first was converted; of the second UTF-8 is a superset
			return input, nil
		}
		return nil, fmt.Errorf("the encoding %.40q is not known: write UTF-8", charset)
	}
	value, err := r.document()
	var syntax *xml.SyntaxError
	switch {
	case errors.As(err, &syntax):
		return nil, fmt.Errorf("plist: line %d: %s", syntax.Line, syntax.Msg)
	case errors.Is(err, io.EOF):
		return nil, errors.New("plist: there is no element plist")
	case err != nil && !strings.HasPrefix(err.Error(), "plist: "):
		return nil, fmt.Errorf("plist: %w", err)
	}
	return value, err
}

// toUTF8 converts what begins with a byte order mark.
func toUTF8(data []byte) ([]byte, error) {
	var order binary.ByteOrder
	switch {
	case bytes.HasPrefix(data, []byte("\xef\xbb\xbf")):
		return data[3:], nil
	case bytes.HasPrefix(data, []byte("\xfe\xff")):
		order = binary.BigEndian
	case bytes.HasPrefix(data, []byte("\xff\xfe")):
		order = binary.LittleEndian
	default:
		return data, nil
	}
	if len(data)%2 != 0 {
		return nil, errors.New("plist: the UTF-16 text is cut off")
	}
	units := make([]uint16, len(data)/2-1)
	for i := range units {
		units[i] = order.Uint16(data[2*i+2:])
	}
	text, err := decodeUTF16(units)
	return []byte(text), err
}

// document reads all of it: what stands before the root, the element plist with its one value, and nothing after.
func (r *xmlReader) document() (any, error) {
	root, err := r.start()
	if err != nil {
		return nil, err
	}
	if root.Name.Local != "plist" {
		return r.alone(root)
	}
	first, err := r.child()
	if err != nil {
		return nil, err
	}
	if first == nil {
		return nil, errors.New("plist: the element plist is empty")
	}
	value, err := r.value(*first, 1)
	if err != nil {
		return nil, err
	}
	switch second, err := r.child(); {
	case err != nil:
		return nil, err
	case second != nil:
		return nil, errors.New("plist: the element plist has more than one value")
	}
	return value, r.end()
}

// alone reads a document whose root is the value itself, as old tools write entitlements.
func (r *xmlReader) alone(root xml.StartElement) (any, error) {
	if root.Name.Local != "dict" {
		return nil, fmt.Errorf("plist: the root is the element %.40q, want plist", root.Name.Local)
	}
	value, err := r.value(root, 1)
	if err != nil {
		return nil, err
	}
	return value, r.end()
}

// start is the root's start tag.
func (r *xmlReader) start() (xml.StartElement, error) {
	for {
		token, err := r.decoder.Token()
		if err != nil {
			return xml.StartElement{}, err
		}
		switch token := token.(type) {
		case xml.StartElement:
			return token, checkName(token.Name)
		case xml.ProcInst:
			if err := checkProlog(declaration, token.Target+" "+string(token.Inst)); err != nil {
				return xml.StartElement{}, err
			}
		case xml.Directive:
			if err := checkProlog(doctype, string(token)); err != nil {
				return xml.StartElement{}, err
			}
		case xml.CharData:
			if err := checkBlank(token); err != nil {
				return xml.StartElement{}, err
			}
		}
	}
}

// checkProlog refuses what Apple does not write in front of the root. The DTD is named and never read; one of the
// document's own could define entities.
func checkProlog(form, text string) error {
	if !regexp.MustCompile(form).MatchString(text) {
		return fmt.Errorf("plist: in front of the element plist stands %.80q", text)
	}
	return nil
}

// end reads what follows the root: nothing.
func (r *xmlReader) end() error {
	for {
		token, err := r.decoder.Token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		switch token := token.(type) {
		case xml.CharData:
			if err := checkBlank(token); err != nil {
				return err
			}
		case xml.Comment:
		default:
			return errors.New("plist: something follows the element plist")
		}
	}
}

func checkName(name xml.Name) error {
	if name.Space != "" {
		return fmt.Errorf("plist: the element %.40q is in a namespace", name.Local)
	}
	return nil
}

func checkBlank(text []byte) error {
	if text = bytes.TrimLeft(text, " \t\r\n"); len(text) > 0 {
		return fmt.Errorf("plist: the text %.40q stands outside a value", text)
	}
	return nil
}

// child is the next element within the open one. Nil: it ended.
func (r *xmlReader) child() (*xml.StartElement, error) {
	for {
		token, err := r.decoder.Token()
		if err != nil {
			return nil, err
		}
		switch token := token.(type) {
		case xml.StartElement:
			return &token, checkName(token.Name)
		case xml.EndElement:
			return nil, nil
		case xml.CharData:
			if err := checkBlank(token); err != nil {
				return nil, err
			}
		case xml.Directive:
			return nil, errors.New("plist: a directive stands within the element plist")
		}
	}
}

// text is what the open element holds, which has no elements within.
func (r *xmlReader) text(of string) (string, error) {
	var text []byte
	for {
		token, err := r.decoder.Token()
		if err != nil {
			return "", err
		}
		switch token := token.(type) {
		case xml.CharData:
			text = append(text, token...)
		case xml.EndElement:
			if err := r.budget.take(len(text)); err != nil {
				return "", err
			}
			return string(text), checkText(string(text))
		case xml.StartElement, xml.Directive:
			return "", fmt.Errorf("plist: something stands within the element %s", of)
		}
	}
}

// value reads the element whose start tag was read. Depth is that of the value, the root's is 1.
func (r *xmlReader) value(start xml.StartElement, depth int) (any, error) {
	if depth > MaxDepth {
		return nil, errDepth
	}
	kind := start.Name.Local
	switch kind {
	case "dict", "array":
		if err := r.budget.take(0); err != nil {
			return nil, err
		}
		if kind == "dict" {
			return r.dict(depth)
		}
		return r.array(depth)
	}
	text, err := r.text(kind)
	if err != nil {
		return nil, err
	}
	switch kind {
	case "string":
		return text, nil
	case "true", "false":
		return kind == "true", checkBlank([]byte(text))
	case "integer":
		return integer(strings.Trim(text, " \t\r\n"))
	case "real":
		return realNumber(strings.Trim(text, " \t\r\n"))
	case "date":
		text = strings.Trim(text, " \t\r\n")
		date, err := time.Parse(dateLayout, text)
		if err != nil || len(text) != len(dateLayout) { // fractions of a second would be read, too
			return nil, fmt.Errorf("plist: the date %.40q is not like 2001-01-01T00:00:00Z", text)
		}
		return date, checkDate(date)
	case "data":
		data, err := base64.StdEncoding.DecodeString(strings.NewReplacer(" ", "", "\t", "", "\r", "", "\n", "").Replace(text))
		if err != nil {
			return nil, errors.New("plist: the element data is not base64")
		}
		return data, nil
	}
	return nil, fmt.Errorf("plist: there is no element %.40q in property lists", kind)
}

// integer is decimal, with a sign or without, or hexadecimal after 0x.
func integer(text string) (any, error) {
	base, digits := 10, text
	if hex, found := strings.CutPrefix(text, "0x"); found {
		base, digits = 16, hex
		if strings.ContainsAny(hex, "+-") {
			digits = ""
		}
	}
	if n, err := strconv.ParseInt(digits, base, 64); err == nil {
		return n, nil
	}
	n, err := strconv.ParseUint(strings.TrimPrefix(digits, "+"), base, 64)
	if err != nil {
		return nil, fmt.Errorf("plist: the integer %.40q is none of 64 bits", text)
	}
	return n, nil
}

// realNumber is decimal, or one of the words that Apple writes.
func realNumber(text string) (any, error) {
	switch strings.ToLower(text) {
	case "nan":
		return math.NaN(), nil
	case "inf", "+inf", "infinity", "+infinity":
		return math.Inf(1), nil
	case "-inf", "-infinity":
		return math.Inf(-1), nil
	}
	n, err := strconv.ParseFloat(text, 64)
	if err != nil || strings.Trim(text, "+-.0123456789eE") != "" {
		return nil, fmt.Errorf("plist: the real %.40q is not a number", text)
	}
	return n, nil
}

func (r *xmlReader) array(depth int) (any, error) {
	array := []any{}
	for {
		element, err := r.child()
		if element == nil || err != nil {
			return array, err
		}
		value, err := r.value(*element, depth+1)
		if err != nil {
			return nil, err
		}
		array = append(array, value)
	}
}

// dict reads keys and values in turn.
func (r *xmlReader) dict(depth int) (any, error) {
	dict := Dict{}
	for {
		element, err := r.child()
		if element == nil || err != nil {
			return dict, err
		}
		if element.Name.Local != "key" {
			return nil, fmt.Errorf("plist: the element %.40q stands in place of a key", element.Name.Local)
		}
		key, err := r.text("key")
		if err != nil {
			return nil, err
		}
		element, err = r.child()
		if err != nil {
			return nil, err
		}
		if element == nil {
			return nil, fmt.Errorf("plist: the key %.80q has no value", key)
		}
		value, err := r.value(*element, depth+1)
		if err != nil {
			return nil, err
		}
		if err := dict.put(key, value); err != nil {
			return nil, err
		}
	}
}
