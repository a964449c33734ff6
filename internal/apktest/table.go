package apktest

// Resource is a resource of a kind of which all are strings, such as @string/version.
type Resource struct {
	Text     string
	At       uint32 // refers to a resource; 0: Text is its value
	Language string // two letters; "": for all
}

// The ways in which a table lists resources.
const (
	Plain = iota
	Sparse
	Short
	Compact
)

// Table makes a resources.arsc in which each resource is number 0x7f0100xx.
func Table(way int, resources ...[]Resource) []byte {
	var texts []string
	languages := []string{}
	known := map[string]bool{}
	for _, same := range resources {
		for _, r := range same {
			if !known[r.Language] {
				known[r.Language] = true
				languages = append(languages, r.Language)
			}
		}
	}
	var types []byte
	for _, language := range languages {
		types = append(types, typeChunk(way, language, resources, &texts)...)
	}
	name := make([]byte, 256)
	body := join(Pool([]string{"string"}, false), Pool([]string{"name"}, true), Chunk(0x0202, join([]byte{1, 0, 0, 0}, u32(0)), nil), types)
	pack := Chunk(0x0200, join(u32(0x7f), name, u32(288), u32(1), u32(0), u32(1), u32(0)), body)
	return Chunk(2, u32(1), join(Pool(texts, true), pack))
}

func typeChunk(way int, language string, resources [][]Resource, texts *[]string) []byte {
	var list, entries []byte
	count, flags := 0, 0
	for i, same := range resources {
		var entry []byte
		for _, r := range same {
			if r.Language != language {
				continue
			}
			kind, data := 3, uint32(len(*texts))
			if r.At != 0 {
				kind, data = 1, r.At
			} else {
				*texts = append(*texts, r.Text)
			}
			entry = join(u16(8), u16(0), u32(0), u16(8), []byte{0, byte(kind)}, u32(data))
			if way == Compact {
				entry = join(u16(0), u16(8|kind<<8), u32(data))
			}
		}
		offset := uint32(len(entries))
		switch {
		case way == Sparse:
			flags = 1
			if entry != nil {
				list = append(list, join(u16(i), u16(int(offset/4)))...)
				count++
			}
		case way == Short:
			flags, count = 2, count+1
			if offset /= 4; entry == nil {
				offset = 0xffff
			}
			list = append(list, u16(int(offset))...)
		default:
			if count++; entry == nil {
				offset = none
			}
			list = append(list, u32(offset)...)
		}
		entries = append(entries, entry...)
	}
	for len(list)%4 != 0 {
		list = append(list, 0)
	}
	config := make([]byte, 64)
	copy(config, u32(64))
	copy(config[8:], language)
	start := uint32(8 + 12 + len(config) + len(list))
	return Chunk(0x0201, join([]byte{1, byte(flags), 0, 0}, u32(uint32(count)), u32(start), config), join(list, entries))
}
