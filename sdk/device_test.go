package sdk

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/approovgate/approovgate/attestapi"
)

func TestDeviceID(t *testing.T) {
	w := newWorld(t)
	folder := filepath.Join(t.TempDir(), "state")
	id := func(change func(*Config)) string {
		c := w.start(func(config *Config) {
			config.StateDir = folder
			if change != nil {
				change(config)
			}
		})
		if _, err := attestapi.ParseDeviceID(c.DeviceID()); err != nil {
			t.Error(err)
		}
		return c.DeviceID()
	}
	first := id(nil)
	for _, row := range []struct {
		name   string
		change func(*Config)
		same   bool
	}{
		{"it is the same with the next start", nil, true},
		{"it is the same with another version", func(c *Config) { c.Version = "2.0" }, true},
		{"it is another app's with another package", func(c *Config) { c.Package = "com.example.other" }, false},
		{"it is another device's in another folder", func(c *Config) { c.StateDir = t.TempDir() }, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			if got := id(row.change); (got == first) != row.same {
				t.Errorf("got %s after %s, want the same: %v", got, first, row.same)
			}
		})
	}
	if runtime.GOOS != "windows" {
		for path, want := range map[string]os.FileMode{folder: 0o700, filepath.Join(folder, seedFile): 0o600} {
			if got := must(os.Stat(path)).Mode().Perm(); got != want {
				t.Errorf("%s: got mode %v, want %v", path, got, want)
			}
		}
	}
	if left := must(os.ReadDir(folder)); len(left) != 1 {
		t.Errorf("got %d files, want the seed alone", len(left))
	}
	if err := os.WriteFile(filepath.Join(folder, seedFile), []byte("damaged"), 0o600); err != nil {
		t.Fatal(err)
	}
	if second := id(nil); second == first || second != id(nil) {
		t.Error("got no lasting ID after the seed was damaged")
	}
}

func TestDeviceIDInTheDefaultFolder(t *testing.T) {
	base := t.TempDir()
	for _, name := range []string{"HOME", "XDG_CONFIG_HOME", "AppData"} {
		t.Setenv(name, base)
	}
	for _, pkg := range []string{"a", "a/b", "a/b/c"} { // each folder may lie in another's
		if _, err := keptSeed("", pkg); err != nil {
			t.Errorf("%s: %v", pkg, err)
		}
	}
	found, err := filepath.Glob(filepath.Join(must(os.UserConfigDir()), "approovgate", "a", "b", seedFile))
	if err != nil || len(found) != 1 {
		t.Errorf("got %v, %v, want the seed of a/b", found, err)
	}
}

func TestDeviceIDWhereNothingCanBeKept(t *testing.T) {
	w := newWorld(t)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	in := func(config *Config) { config.StateDir = filepath.Join(file, "state") }
	first, second := w.start(in), w.start(in)
	if first.DeviceID() == second.DeviceID() || first.DeviceID() == "" {
		t.Errorf("got %s and %s, want one for each", first.DeviceID(), second.DeviceID())
	}
	if !strings.Contains(w.logged.String(), "no state can be kept") {
		t.Errorf("got log %q, want it said", w.logged)
	}
}

func TestProcessesThatStartAtOnceAgreeOnTheSeed(t *testing.T) {
	folder := t.TempDir()
	seeds := make([]string, 50)
	var group sync.WaitGroup
	for i := range seeds {
		group.Go(func() { seeds[i] = string(must(keptSeed(folder, "p"))) })
	}
	group.Wait()
	for _, seed := range seeds {
		if seed != seeds[0] {
			t.Fatal("got different seeds, want one")
		}
	}
}
