package seal_test

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/approovgate/approovgate/attestserver/seal"
	"github.com/approovgate/approovgate/attestserver/store"
)

var _ store.Sealer = (*seal.Sealer)(nil)

func key(t testing.TB, fill byte) seal.Key {
	t.Helper()
	k, err := seal.NewKey(bytes.Repeat([]byte{fill}, seal.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func sealed(t testing.TB, s *seal.Sealer, plain, context string) []byte {
	t.Helper()
	text, err := s.Seal([]byte(plain), context)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestWhatIsSealedOpens(t *testing.T) {
	s := seal.New(key(t, 1))
	for _, plain := range []string{"", "x", strings.Repeat("secret", 1000)} {
		text := sealed(t, s, plain, "place")
		if got, err := s.Open(text, "place"); err != nil || string(got) != plain {
			t.Errorf("got %d bytes, %v, want the %d that were sealed", len(got), err, len(plain))
		}
		if plain != "" && bytes.Contains(text, []byte(plain)) && len(plain) > 1 {
			t.Error("got a sealed text that shows what it holds, want none")
		}
	}
	if bytes.Equal(sealed(t, s, "same", "place"), sealed(t, s, "same", "place")) {
		t.Error("got equal sealed texts, want each to be random")
	}
}

func TestWhatDoesNotOpen(t *testing.T) {
	s := seal.New(key(t, 1))
	text := sealed(t, s, "material", "account\x00key")
	change := func(at int, to byte) []byte {
		c := bytes.Clone(text)
		c[at] = to
		return c
	}
	for name, row := range map[string]struct {
		text    []byte
		context string
		want    error
	}{
		"another context":           {text, "account\x00library", seal.ErrDamaged},
		"a shorter context":         {text, "account", seal.ErrDamaged},
		"no context":                {text, "", seal.ErrDamaged},
		"another key":               {sealed(t, seal.New(key(t, 2)), "material", "account\x00key"), "account\x00key", seal.ErrWrongKey},
		"a newer version":           {change(0, 2), "account\x00key", seal.ErrVersion},
		"version 0":                 {change(0, 0), "account\x00key", seal.ErrDamaged},
		"a bit of the nonce":        {change(9, text[9]^1), "account\x00key", seal.ErrDamaged},
		"a bit of the ciphertext":   {change(22, text[22]^1), "account\x00key", seal.ErrDamaged},
		"a bit of the tag":          {change(len(text)-1, text[len(text)-1]^1), "account\x00key", seal.ErrDamaged},
		"one byte less":             {text[:len(text)-1], "account\x00key", seal.ErrDamaged},
		"one byte more":             {append(bytes.Clone(text), 0), "account\x00key", seal.ErrDamaged},
		"nothing":                   {nil, "account\x00key", seal.ErrDamaged},
		"a head and nothing behind": {text[:9], "account\x00key", seal.ErrDamaged},
		"what was never sealed":     {[]byte("plain material that was put there by hand"), "account\x00key", seal.ErrVersion},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := s.Open(row.text, row.context)
			if got != nil || !errors.Is(err, row.want) {
				t.Errorf("got %q, %v, want nothing, %v", got, err, row.want)
			}
		})
	}
}

func TestKeysDoNotShowThemselves(t *testing.T) {
	k := key(t, 'k')
	text, err := json.Marshal(struct{ Key seal.Key }{k})
	if err != nil {
		t.Fatal(err)
	}
	shown := fmt.Sprintf("%v %+v %#v %s %x %v %+v %#v %s", k, k, k, k, k.String(), seal.New(k), seal.New(k), seal.New(k), text)
	for _, form := range []string{"kkkk", "6b6b6b6b", "107 107", "0x6b, 0x6b", "a2tra2tr"} {
		if strings.Contains(shown, form) {
			t.Errorf("got the key in %q, want it redacted", shown)
		}
	}
}

func TestReadKey(t *testing.T) {
	folder := t.TempDir()
	file := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		return "file:" + path
	}
	good := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte("k"), 32))
	long := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte("k"), 33))
	short := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte("k"), 31))
	zero := base64.StdEncoding.EncodeToString(make([]byte, 32))
	t.Setenv("SEAL_KEY", good)
	for name, row := range map[string]struct {
		reference, err string
		warnings       int
	}{
		"a file":                                 {file("good", good+"\n", 0o600), "", 0},
		"a file that everyone may read":          {file("read", good, 0o644), "", 1},
		"a file that others may write":           {file("write", good, 0o660), "chmod 600", 0},
		"a variable":                             {"env:SEAL_KEY", "", 0},
		"a variable that is not set":             {"env:SEAL_KEY_NONE", "is not set", 0},
		"a file that is not there":               {"file:" + folder + "/none", "check its path", 0},
		"a folder":                               {"file:" + folder, "is not a regular file", 0},
		"33 bytes":                               {file("long", long, 0o600), "33 bytes", 0},
		"31 bytes":                               {file("short", short, 0o600), "31 bytes", 0},
		"zeros":                                  {file("zero", zero, 0o600), "all zeros", 0},
		"what is not base64":                     {file("text", "not base64 at all, is it? No.", 0o600), "is not base64", 0},
		"a key on the command line":              {"inline:" + good, "use file:PATH or env:NAME", 0},
		"a text that is no reference":            {good, "must begin with file:", 0},
		"a reference to a file without a scheme": {folder + "/good", "must begin with file:", 0},
	} {
		t.Run(name, func(t *testing.T) {
			got, warnings, err := seal.ReadKey(row.reference)
			if row.err == "" {
				if err != nil || got != key(t, 'k') || len(warnings) != row.warnings {
					t.Errorf("got warnings %q, error %v, want the key and %d warnings", warnings, err, row.warnings)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), row.err) || !strings.HasPrefix(err.Error(), "sealing key: ") {
				t.Fatalf("got error %v, want one with %q", err, row.err)
			}
			if strings.Contains(err.Error(), "a2tra2tr") {
				t.Errorf("got error %v, want none with the key", err)
			}
		})
	}
}

func TestMakeKeyFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "seal.key")
	var made atomic.Int32
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			ok, err := seal.MakeKeyFile(path, rand.Reader)
			if err != nil {
				t.Error(err)
			}
			if ok {
				made.Add(1)
			}
		})
	}
	all.Wait()
	if made.Load() != 1 {
		t.Errorf("got %d that made the file, want 1", made.Load())
	}
	first, warnings, err := seal.ReadKey("file:" + path)
	if err != nil || len(warnings) != 0 {
		t.Fatalf("got warnings %q, error %v, want a key", warnings, err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("got mode %v, %v, want 0600", info.Mode(), err)
	}
	if ok, err := seal.MakeKeyFile(path, rand.Reader); ok || err != nil {
		t.Errorf("got %v, %v of a file that is there, want it left alone", ok, err)
	}
	if again, _, err := seal.ReadKey("file:" + path); err != nil || again != first {
		t.Errorf("got another key, %v, want the first", err)
	}
	left, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(left) != 1 {
		t.Errorf("got %d files, %v, want the key alone", len(left), err)
	}
	if _, err := seal.MakeKeyFile(filepath.Join(path, "none", "key"), rand.Reader); err == nil || !strings.Contains(err.Error(), "cannot be made") {
		t.Errorf("got %v of a folder that is not there, want an error", err)
	}
	if _, err := seal.MakeKeyFile(filepath.Join(t.TempDir(), "key"), bytes.NewReader(nil)); err == nil {
		t.Error("got a key without randomness, want an error")
	}
}
