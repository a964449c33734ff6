package axml_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/approovgate/approovgate/internal/apktest"
	"github.com/approovgate/approovgate/measure/axml"
)

const (
	versionCode = 0x0101021b
	versionName = 0x0101021c
)

// said is what a manifest says, as one line.
func said(file []byte) (string, error) {
	var all []string
	err := axml.Walk(file, func(e axml.Element) error {
		all = append(all, fmt.Sprintf("%d %s", e.Depth, e.Name))
		if e.Depth == 1 {
			code, _ := e.ByID(versionCode).Integer()
			all = append(all, fmt.Sprintf("%q %q %d", e.ByName("package"), e.ByID(versionName).Text(), code))
		}
		return nil
	})
	return strings.Join(all, "; "), err
}

func TestWalk(t *testing.T) {
	m := apktest.Manifest{Package: "com.example.shop", VersionName: "2.0", VersionCode: 3}
	with := func(change func(*apktest.Manifest)) []byte {
		other := m
		change(&other)
		return other.Encode()
	}
	const want = `1 manifest; "com.example.shop" "2.0" 3; 2 uses-sdk; 2 application; 3 activity`
	for _, row := range []struct {
		name string
		file []byte
		want string
	}{
		{"strings of UTF-16", m.Encode(), want},
		{"strings of UTF-8", with(func(m *apktest.Manifest) { m.UTF8 = true }), want},
		{"attributes without names", with(func(m *apktest.Manifest) { m.NoNames = true }), want},
		{"chunks that nobody knows", with(func(m *apktest.Manifest) { m.Odd = true }), want},
		{"more behind the end of the outermost element", apktest.Chunk(3, nil, append(m.Encode()[8:], "\x02\x01 and more of no kind"...)), want},
		{"more behind the file", append(m.Encode(), "more"...), want},
		{"no version", with(func(m *apktest.Manifest) { m.VersionName, m.VersionCode = "", 0 }), strings.Replace(want, `"2.0" 3`, `"" 0`, 1)},
		{"a name beyond ASCII in UTF-8", with(func(m *apktest.Manifest) { m.VersionName, m.UTF8 = "β-😀", true }), strings.Replace(want, "2.0", "β-😀", 1)},
		{"a name beyond ASCII in UTF-16", with(func(m *apktest.Manifest) { m.VersionName = "β-😀" }), strings.Replace(want, "2.0", "β-😀", 1)},
		{"a name of 200 letters in UTF-8", with(func(m *apktest.Manifest) { m.VersionName, m.UTF8 = strings.Repeat("é", 200), true }), strings.Replace(want, "2.0", strings.Repeat("é", 200), 1)},
		{"a name of 65541 letters is cut off", with(func(m *apktest.Manifest) { m.VersionName = strings.Repeat("x", 65541) }), strings.Replace(want, "2.0", strings.Repeat("x", 1024), 1)},
	} {
		if got, err := said(row.file); err != nil || got != row.want {
			t.Errorf("%s: got %s, %v, want %s", row.name, got, err, row.want)
		}
	}
	stop := errors.New("stop")
	if err := axml.Walk(m.Encode(), func(axml.Element) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("a walk that is stopped: got %v, want %v", err, stop)
	}
}

func TestWalkRefuses(t *testing.T) {
	whole := apktest.Manifest{Package: "p"}.Encode()
	element := bytes.Index(whole, []byte("\x02\x01\x10\x00")) // the header of the first
	put := func(where int, text string) []byte {
		b := bytes.Clone(whole)
		copy(b[where:], text)
		return b
	}
	for _, row := range []struct {
		name string
		file []byte
		want string
	}{
		{"nothing", nil, "ends too early"},
		{"a text", []byte("<manifest package='x'/>"), "says it has"},
		{"a file cut off", whole[:len(whole)-1], "says it has"},
		{"no elements", apktest.Chunk(3, nil, apktest.Pool(nil, true)), "no elements"},
		{"a part without a size", put(8+4, "\x00\x00\x00\x00"), "a part of kind"},
		{"a part that is too large", put(8+4, "\xff\xff\xff\x7f"), "a part of kind"},
		{"more strings than there is room for", put(8+8, "\xff\xff\xff\xff"), "no room"},
		{"strings beyond the part", put(8+20, "\xff\xff\xff\xff"), "no room"},
		{"a header of strings that is too short", put(8+2, "\x08\x00"), "too short"},
		{"an element with too many attributes", put(element+16+12, "\xff\xff"), "no room for its 65535"},
		{"attributes of no size", put(element+16+10, "\x00\x00"), "of 0 bytes"},
		{"a node with a short header", put(element+2, "\x08\x00"), "header has 8"},
		{"an element that is too short", apktest.Chunk(3, nil, apktest.Chunk(0x0102, make([]byte, 8), []byte("short"))), "ends too early"},
	} {
		if got, err := said(row.file); err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: got %s, %v, want %q", row.name, got, err, row.want)
		}
	}
}

// TestAHostileFileTakesLittleTime walks 100000 elements whose name is one long string.
func TestAHostileFileTakesLittleTime(t *testing.T) {
	node := apktest.Chunk(0x0102, bytes.Repeat([]byte{0}, 8), bytes.Repeat([]byte{0}, 20))
	file := apktest.Chunk(3, nil, append(apktest.Pool([]string{strings.Repeat("x", 1<<20)}, false), bytes.Repeat(node, 100_000)...))
	began := time.Now()
	count := 0
	if err := axml.Walk(file, func(axml.Element) error { count++; return nil }); err != nil || count != 100_000 {
		t.Errorf("got %d elements, %v", count, err)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("took %v", took)
	}
}

func TestValues(t *testing.T) {
	for _, row := range []struct {
		kind uint8
		data uint32
		want string
	}{
		{0, 0, ""}, {0x01, 5, ""}, {0x04, 0x3fc00000, "1.5"}, {0x04, 0x40000000, "2.0"}, {0x10, 7, "7"}, {0x10, 0xffffffff, "-1"}, {0x11, 255, "0xff"},
		{0x12, 0xffffffff, "true"}, {0x12, 0, "false"},
	} {
		if got := (axml.Value{Kind: row.kind, Data: row.data}).Text(); got != row.want {
			t.Errorf("kind %#x of %#x: got %q, want %q", row.kind, row.data, got, row.want)
		}
	}
}

func TestTable(t *testing.T) {
	const first = 0x7f010000
	plain := []apktest.Resource{{Text: "2.0"}}
	german := []apktest.Resource{{Text: "zwei", Language: "de"}, {Text: "two"}}
	onlyGerman := []apktest.Resource{{Text: "drei", Language: "de"}}
	refers := []apktest.Resource{{At: first}}
	circle := []apktest.Resource{{At: first + 4}}
	for way, name := range map[int]string{apktest.Plain: "plain", apktest.Sparse: "sparse", apktest.Short: "short", apktest.Compact: "compact"} {
		table, err := axml.ReadTable(apktest.Table(way, german, plain, onlyGerman, refers, circle))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for i := range uint32(7) {
			v, found := table.Resolve(first + i)
			got = append(got, fmt.Sprint(v.Text(), " ", found))
		}
		want := []string{"two true", "2.0 true", "drei true", "two true", " false", " false", " false"}
		if !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
		if _, found := table.Resolve(0x01010000); found {
			t.Errorf("%s: got a resource of another package", name)
		}
	}
	for _, file := range [][]byte{nil, []byte("text of no table"), apktest.Chunk(3, nil, nil), apktest.Chunk(2, make([]byte, 4), apktest.Chunk(0x0200, nil, nil))} {
		if _, err := axml.ReadTable(file); err == nil {
			t.Errorf("%q: got no error", file)
		}
	}
}

// FuzzManifest reads what an encoder that shares no code has written.
func FuzzManifest(f *testing.F) {
	f.Add("com.example", "1.0", uint32(1), true, false)
	f.Add("", "\x00é😀", uint32(1<<31), false, true)
	f.Fuzz(func(t *testing.T, name, version string, code uint32, utf8, odd bool) {
		name, version = strings.ToValidUTF8(name, "?"), strings.ToValidUTF8(version, "?")
		if len(name)+len(version) > 500 || name == "package" {
			return
		}
		file := apktest.Manifest{Package: name, VersionName: version, VersionCode: code, UTF8: utf8, Odd: odd}.Encode()
		got, err := said(file)
		if want := fmt.Sprintf("1 manifest; %q %q %d; 2 uses-sdk; 2 application; 3 activity", name, version, code); err != nil || got != want {
			t.Errorf("got %s, %v, want %s", got, err, want)
		}
	})
}

// FuzzWalk reads hostile files: they are refused, or bounded in what they say.
func FuzzWalk(f *testing.F) {
	f.Add(apktest.Manifest{Package: "com.example", VersionName: "1.0", VersionCode: 3, Odd: true}.Encode())
	f.Add(apktest.Manifest{Package: "com.example", VersionNameAt: 0x7f010000, UTF8: true, NoNames: true}.Encode())
	f.Fuzz(func(t *testing.T, file []byte) {
		size := 0
		_ = axml.Walk(file, func(e axml.Element) error {
			size += 36 // bytes of the smallest element
			if name := e.ByName("package"); len(name) > 4*1024 || len(e.Name) > 4*1024 {
				t.Errorf("got a string of %d bytes", max(len(name), len(e.Name)))
			}
			e.ByID(versionName).Text()
			return nil
		})
		if size > len(file) {
			t.Errorf("got elements of %d bytes from %d", size, len(file))
		}
	})
}

// FuzzTable reads hostile tables: each resource is found or not, the same each time.
func FuzzTable(f *testing.F) {
	for way := range 4 {
		f.Add(apktest.Table(way, []apktest.Resource{{Text: "2.0"}, {Text: "zwei", Language: "de"}}, []apktest.Resource{{At: 0x7f010000}}), uint32(0x7f010001))
	}
	f.Fuzz(func(t *testing.T, file []byte, id uint32) {
		table, err := axml.ReadTable(file)
		if err != nil {
			return
		}
		v, found := table.Resolve(id)
		if again, foundAgain := table.Resolve(id); v != again || found != foundAgain || found && v.Kind == axml.KindReference {
			t.Errorf("got %v %v, then %v %v", v, found, again, foundAgain)
		}
	})
}
