package source

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// write makes a file with exactly these permissions, whatever the umask.
func write(t *testing.T, path, text string, mode os.FileMode) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestReadFile(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "folder"), 0o700); err != nil {
		t.Fatal(err)
	}
	link := func(name, target string) string {
		path := filepath.Join(dir, name)
		if err := os.Symlink(target, path); err != nil {
			t.Fatal(err)
		}
		return path
	}
	full := strings.Repeat("x", MaxSize)
	open := write(t, filepath.Join(dir, "open"), "text", 0o666)
	for _, row := range []struct {
		name, path, want, warning, err string
	}{
		{"a file of its owner", write(t, filepath.Join(dir, "a"), " text\n", 0o600), " text\n", "", ""},
		{"a read-only file", write(t, filepath.Join(dir, "b"), "text", 0o400), "text", "", ""},
		{"a file its group may read", write(t, filepath.Join(dir, "c"), "text", 0o640), "text", "", ""},
		{"a file everyone may read", write(t, filepath.Join(dir, "d"), "text", 0o644), "text", "is world-readable; chmod 600 " + filepath.Join(dir, "d"), ""},
		{"a file its group may write", write(t, filepath.Join(dir, "e"), "text", 0o660), "", "", "chmod 600 " + filepath.Join(dir, "e")},
		{"a file everyone may write", write(t, filepath.Join(dir, "f"), "text", 0o602), "", "", "can be written by others"},
		{"an empty file", write(t, filepath.Join(dir, "g"), "", 0o600), "", "", "is empty"},
		{"the largest file", write(t, filepath.Join(dir, "h"), full, 0o600), full, "", ""},
		{"a file one byte too large", write(t, filepath.Join(dir, "i"), full+"x", 0o600), "", "", "more than 65536 bytes"},
		{"a link to a file, as Kubernetes mounts secrets", link("link", "a"), " text\n", "", ""},
		{"a link to a file everyone may write", link("bad-link", open), "", "", "can be written by others"},
		{"a link to nothing", link("dead-link", "gone"), "", "", "no such file"},
		{"a folder", filepath.Join(dir, "folder"), "", "", "is not a regular file"},
		{"a device that never ends", "/dev/zero", "", "", "is not a regular file"},
		{"a file that is not there", filepath.Join(dir, "missing"), "", "", "file " + filepath.Join(dir, "missing") + " cannot be read: no such file or directory; check its path"},
	} {
		t.Run(row.name, func(t *testing.T) {
			text, warnings, err := Read("file:" + row.path)
			check(t, string(text), err, row.want, row.err)
			if got := strings.Join(warnings, "\n"); !strings.Contains(got, row.warning) || row.warning == "" && got != "" {
				t.Errorf("warnings %q, want %q in them", got, row.warning)
			}
		})
	}
}

// check compares a result with the expected text, or the error with part of its text.
func check(t *testing.T, got string, err error, want, part string) {
	t.Helper()
	if part == "" && err != nil || part != "" && (err == nil || !strings.Contains(err.Error(), part)) {
		t.Errorf("error %v, want %q in it", err, part)
	}
	if got != want {
		t.Errorf("got %.80q, want %.80q", got, want)
	}
}

func TestReadOtherReferences(t *testing.T) {
	t.Setenv("APPROOVGATE_TEST_SECRET", " text\n")
	t.Setenv("APPROOVGATE_TEST_EMPTY", "")
	t.Setenv("APPROOVGATE_TEST_LARGE", strings.Repeat("x", MaxSize+1))
	for _, row := range []struct {
		name, ref, want, err string
	}{
		{"a variable is not trimmed", "env:APPROOVGATE_TEST_SECRET", " text\n", ""},
		{"an empty variable", "env:APPROOVGATE_TEST_EMPTY", "", "environment variable APPROOVGATE_TEST_EMPTY is not set or empty"},
		{"a variable that is not set", "env:APPROOVGATE_TEST_UNSET", "", "APPROOVGATE_TEST_UNSET is not set"},
		{"a variable too large", "env:APPROOVGATE_TEST_LARGE", "", "65537 bytes"},
		{"inline text", "inline:a:b ", "a:b ", ""},
		{"no inline text", "inline:", "", "followed by nothing"},
		{"inline text too large", "inline:" + strings.Repeat("x", MaxSize+1), "", "65537 bytes"},
		{"an unknown kind", "vault:secret/approov", "", "must begin with file:, env: or inline:"},
		{"no kind", "", "", "must begin with"},
	} {
		t.Run(row.name, func(t *testing.T) {
			text, warnings, err := Read(row.ref)
			check(t, string(text), err, row.want, row.err)
			if warnings != nil {
				t.Errorf("warnings %q, want none", warnings)
			}
		})
	}
}

func TestErrorsDoNotRepeatTheText(t *testing.T) {
	const secret = "test-key-not-a-secret"
	for _, ref := range []string{secret, "inline" + secret, "inline:" + strings.Repeat(secret, 5000)} {
		if _, _, err := Read(ref); err == nil || strings.Contains(err.Error(), secret) {
			t.Errorf("%.40s: error %v, want one without the text", ref, err)
		}
	}
	for _, encoding := range []string{"base64", "base32", "raw", "hex"} {
		if _, err := DecodeSecret([]byte(secret), encoding); err == nil || strings.Contains(err.Error(), secret) {
			t.Errorf("%s: error %v, want one without the text", encoding, err)
		}
	}
}
