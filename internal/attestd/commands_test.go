package attestd_test

import (
	"bytes"
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/approovgate/approovgate/internal/attestd"
)

// A mistyped folder is not made, and nothing is read out of a database that is not there: a backup of one would look
// like a good one.
func TestAFolderWithoutADatabase(t *testing.T) {
	t.Setenv("SEALING_KEY", base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{7}, 32)))
	for _, row := range []struct {
		name  string
		args  []string
		wrote string // what the command would write
	}{
		{"backup", []string{"backup", "copy.db"}, "copy.db"},
		{"backup with a key of the environment", []string{"backup", "--key", "env:SEALING_KEY", "copy.db"}, "copy.db"},
		{"copy", []string{"copy", "--key", "env:SEALING_KEY", "--to", "postgres://127.0.0.1:1/x"}, ""},
		{"add", []string{"add", "--key", "env:SEALING_KEY", "--account", "second"}, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			folder := filepath.Join(t.TempDir(), "mistyped")
			args := append([]string{row.args[0], "--data", folder}, row.args[1:]...)
			var out, errs bytes.Buffer
			status := attestd.Run(args, &out, &errs)
			if want := "--data: there is no database in " + folder + "; name the folder"; status != 1 || !strings.Contains(errs.String(), want) {
				t.Errorf("got status %d and %q, want 1 and %q", status, errs.String(), want)
			}
			for _, path := range []string{folder, row.wrote} {
				if _, err := os.Stat(path); err == nil {
					t.Errorf("got %s made, want nothing", path)
				}
			}
		})
	}
}
