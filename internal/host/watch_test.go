package host

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/approovgate/approovgate/gate"
)

// Each row changes files whose watch is the only way to hear of it: the ticker stands still.
var fileChanges = []struct {
	name   string
	before func(t *testing.T, dir string) // instead of a plain file secrets/account; nil: that
	change func(t *testing.T, k *kept)
}{
	{"a new file renamed over the old one", nil, func(t *testing.T, k *kept) {
		k.put("secrets/.account.new", otherSecret)
		do(t, os.Rename(k.dir+"/secrets/.account.new", k.dir+"/secrets/account"))
	}},
	{"a file rewritten in place", nil, func(_ *testing.T, k *kept) { k.put("secrets/account", otherSecret) }},
	{"an editor that keeps the old file as a backup", nil, func(t *testing.T, k *kept) {
		do(t, os.Rename(k.dir+"/secrets/account", k.dir+"/secrets/account~"))
		k.put("secrets/account", otherSecret)
		do(t, os.Remove(k.dir+"/secrets/account~"))
	}},
	{"a file deleted and written again", nil, func(t *testing.T, k *kept) {
		do(t, os.Remove(k.dir+"/secrets/account"))
		k.put("secrets/account", otherSecret)
	}},
	{"a Kubernetes volume that is updated", kubernetesVolume, func(t *testing.T, k *kept) {
		k.put("secrets/..2030_02/account", otherSecret)
		do(t, os.Symlink("..2030_02", k.dir+"/secrets/..data_tmp"), os.Rename(k.dir+"/secrets/..data_tmp", k.dir+"/secrets/..data"),
			os.RemoveAll(k.dir+"/secrets/..2030_01"))
	}},
	{"a link in the path that is turned to another folder", func(t *testing.T, dir string) {
		do(t, os.MkdirAll(dir+"/releases/1", 0o700), os.WriteFile(dir+"/releases/1/account", []byte(secretText), 0o600), os.Symlink("releases/1", dir+"/secrets"))
	}, func(t *testing.T, k *kept) {
		k.put("releases/2/account", otherSecret)
		do(t, os.Symlink("releases/2", k.dir+"/new"), os.Rename(k.dir+"/new", k.dir+"/secrets"))
	}},
	{"the file at the end of two links, one relative with .., one absolute", func(t *testing.T, dir string) {
		do(t, os.MkdirAll(dir+"/secrets", 0o700), os.MkdirAll(dir+"/archive", 0o700), os.MkdirAll(dir+"/live", 0o700),
			os.WriteFile(dir+"/archive/account1", []byte(secretText), 0o600),
			os.Symlink("../archive/account1", dir+"/live/account"), os.Symlink(dir+"/live/account", dir+"/secrets/account"))
	}, func(_ *testing.T, k *kept) { k.put("archive/account1", otherSecret) }},
	{"a link in the middle that is turned", func(t *testing.T, dir string) {
		do(t, os.MkdirAll(dir+"/secrets", 0o700), os.MkdirAll(dir+"/archive", 0o700), os.MkdirAll(dir+"/live", 0o700),
			os.WriteFile(dir+"/archive/account1", []byte(secretText), 0o600),
			os.Symlink("../archive/account1", dir+"/live/account"), os.Symlink(dir+"/live/account", dir+"/secrets/account"))
	}, func(t *testing.T, k *kept) {
		k.put("archive/account2", otherSecret)
		do(t, os.Symlink("../archive/account2", k.dir+"/live/new"), os.Rename(k.dir+"/live/new", k.dir+"/live/account"))
	}},
	{"a folder deleted and made again", nil, func(t *testing.T, k *kept) {
		do(t, os.RemoveAll(k.dir+"/secrets"))
		eventually(t, "the refresh without the folder", func() bool { return k.Gate.Status().Failing })
		k.put("secrets/account", otherSecret)
	}},
	{"a folder deleted and made again at once", nil, func(t *testing.T, k *kept) {
		do(t, os.RemoveAll(k.dir+"/secrets"))
		k.put("secrets/account", otherSecret)
	}},
	{"a folder that takes another's place", nil, func(t *testing.T, k *kept) {
		k.put("next/account", otherSecret)
		do(t, os.Rename(k.dir+"/secrets", k.dir+"/old"), os.Rename(k.dir+"/next", k.dir+"/secrets"))
	}},
	{"a second change after the folder has been replaced", nil, func(t *testing.T, k *kept) {
		do(t, os.RemoveAll(k.dir+"/secrets"))
		k.put("secrets/account", secretText+"\n") // another text of the same secret
		eventually(t, "the first change", func() bool { return !k.Gate.Status().Failing && k.Gate.Status().Generation > 1 })
		before := k.Gate.Status().Generation
		k.put("secrets/account", otherSecret)
		eventually(t, "the second change", func() bool { return k.Gate.Status().Generation > before })
	}},
	{"permissions that are repaired", nil, func(t *testing.T, k *kept) {
		do(t, os.Chmod(k.dir+"/secrets/account", 0o622))
		eventually(t, "the refusal", func() bool { return k.Gate.Status().Failing })
		k.put("secrets/account", otherSecret)
		do(t, os.Chmod(k.dir+"/secrets/account", 0o600))
	}},
}

func kubernetesVolume(t *testing.T, dir string) {
	do(t, os.MkdirAll(dir+"/secrets/..2030_01", 0o700), os.WriteFile(dir+"/secrets/..2030_01/account", []byte(secretText), 0o600),
		os.Symlink("..2030_01", dir+"/secrets/..data"), os.Symlink("..data/account", dir+"/secrets/account"))
}

// startKept starts a keeper of a gate with one secret.
func startKept(t *testing.T, before func(t *testing.T, dir string)) *kept {
	t.Helper()
	dir := t.TempDir()
	if before == nil {
		before = func(t *testing.T, dir string) {
			do(t, os.Mkdir(dir+"/secrets", 0o700), os.WriteFile(dir+"/secrets/account", []byte(secretText), 0o600))
		}
	}
	before(t, dir)
	return newKept(t, dir, onePolicy, gate.Options{})
}

func TestChangedFilesAreReadWithoutATicker(t *testing.T) {
	for _, row := range fileChanges {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			k := startKept(t, row.before)
			k.watching()
			row.change(t, k)
			eventually(t, "the new secret", func() bool {
				s := k.Gate.Status()
				return s.Generation > 1 && !s.Failing
			})
		})
	}
}

func TestFilesThatAppearLaterAreReadWithoutATicker(t *testing.T) {
	for _, row := range []struct {
		name, path string // of control.file
		folder     string // that is there already; empty: none
	}{
		{"in a folder that is there", "control/control.yaml", "control"},
		{"in a folder that is not", "control/control.yaml", ""},
		{"deep below one that is not", "run/approovgate/edge/control/control.yaml", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			do(t, os.MkdirAll(filepath.Join(dir, row.folder), 0o700), os.Mkdir(dir+"/secrets", 0o700), os.WriteFile(dir+"/secrets/account", []byte(secretText), 0o600))
			k := newKept(t, dir, strings.Replace(onePolicy, "control/control.yaml", row.path, 1), gate.Options{})
			k.watching()
			k.put(row.path, "version: 1\nmode: enforce\n")
			eventually(t, "control", func() bool { return k.Gate.Control(gate.Local).Version == 1 })
		})
	}
}

func TestOtherFilesCauseNoRefresh(t *testing.T) {
	k := startKept(t, kubernetesVolume)
	w := newWatch(k.Log)
	defer w.close()
	w.follow(k.Files())
	w.settled()
	for i := range 1000 {
		k.put(fmt.Sprintf("secrets/other%d", i%100), "noise")
		k.put("secrets/.account", "noise")
		k.put(".policy.yaml.swp", "noise")
	}
	for i := range 100 {
		do(t, os.Remove(fmt.Sprintf("%s/secrets/other%d", k.dir, i)))
	}
	do(t, os.Mkdir(k.dir+"/secrets/folder", 0o700), os.Rename(k.dir+"/.policy.yaml.swp", k.dir+"/policy.yaml"))
	heard := 0
	for ; w.begun.IsZero(); heard++ {
		select {
		case e := <-w.events:
			w.heard(e, true)
			if want := e.Name == k.dir+"/policy.yaml"; w.begun.IsZero() == want {
				t.Fatalf("%s: got a refresh wanted: %v, want %v", e, !want, want)
			}
		case err := <-w.errors:
			t.Fatal(err)
		case <-time.After(patience):
			t.Fatalf("the change: got none in %s after %d others, want it", patience, heard)
		}
	}
	if heard < 1000 {
		t.Errorf("heard: got %d events, want those of the other files first", heard)
	}
}

func TestManyChangesAreReadTogether(t *testing.T) {
	w := newWatch(nil)
	defer w.close()
	w.changed()
	begun := w.begun
	if begun.IsZero() || w.begun.Add(latest).Before(time.Now().Add(latest-patience)) {
		t.Fatalf("begun: got %v, want now", begun)
	}
	w.changed()
	if w.begun != begun {
		t.Error("a second change: got the delay begun again, want it to count from the first")
	}
	w.begun = time.Now().Add(-2 * latest)
	w.changed()
	select {
	case <-w.quiet.C: // at once: it has waited long enough
	case <-time.After(patience):
		t.Error("changes that do not end: got no reading, want one a second after the first")
	}
	w.settled()
	if !w.begun.IsZero() {
		t.Error("after the reading: got a change pending, want none")
	}
}

func TestWatchesAreBounded(t *testing.T) {
	dir := t.TempDir()
	var files []string
	for i := range 2 * maxFolders {
		do(t, os.Mkdir(fmt.Sprintf("%s/%d", dir, i), 0o700))
		files = append(files, fmt.Sprintf("%s/%d/file", dir, i))
	}
	k := startKept(t, nil)
	w := newWatch(k.Log)
	defer w.close()
	w.follow(files)
	if len(w.folders) != maxFolders || len(w.system.WatchList()) != maxFolders {
		t.Errorf("folders: got %d, watched %d, want %d", len(w.folders), len(w.system.WatchList()), maxFolders)
	}
	w.follow(files)
	if got := len(k.log.lines("a folder is not watched, only looked at every few seconds")); got != maxFolders {
		t.Errorf("lines after two rounds: got %d, want one for each of %d folders", got, maxFolders)
	}
	if w.follow(files[:1]); len(w.folders) != 1 || len(w.system.WatchList()) != 1 {
		t.Errorf("after most were dropped: got %d folders, watched %v, want 1", len(w.folders), w.system.WatchList())
	}
}

func TestWhatConcernsFiles(t *testing.T) {
	w := newWatch(nil)
	defer w.close()
	w.folders = map[string]*folder{"/etc/gate": {names: map[string]bool{"policy.yaml": true, "secrets": true}}, "/": {names: map[string]bool{"gate.yaml": true}}}
	for path, want := range map[string]bool{
		"/etc/gate/policy.yaml": true, "/etc/gate/secrets": true, "/etc/gate/..data": true, "/etc/gate/..2030_02": true, "/etc/gate": true, "/gate.yaml": true,
		"/etc/gate/policy.yaml.swp": false, "/etc/gate/.policy.yaml": false, "/etc/gate/secrets/account": false, "/etc": false, "/policy.yaml": false, "": false,
	} {
		if got := w.concerns(path); got != want {
			t.Errorf("%q: got %v, want %v", path, got, want)
		}
	}
}

func TestLostWatchesAreRenewed(t *testing.T) {
	for name, lose := range map[string]func(t *testing.T, w *watch, dir string){
		"a folder further up is another one": func(t *testing.T, _ *watch, dir string) {
			do(t, os.Rename(dir+"/a", dir+"/old"), os.MkdirAll(dir+"/a/b", 0o700))
		},
		"the system has ended the watch": func(t *testing.T, w *watch, dir string) { do(t, w.system.Remove(dir+"/a/b")) },
	} {
		t.Run(name, func(t *testing.T) {
			k := startKept(t, nil)
			dir, err := filepath.EvalSymlinks(t.TempDir())
			do(t, err, os.MkdirAll(dir+"/a/b", 0o700))
			w := newWatch(k.Log)
			defer w.close()
			w.follow([]string{dir + "/a/b/file"})
			lose(t, w, dir)
			w.settled()
			w.follow([]string{dir + "/a/b/file"})
			if w.begun.IsZero() {
				t.Error("after the next look: got nothing to catch up with, want the file read")
			}
			w.settled()
			do(t, os.WriteFile(dir+"/a/b/file", nil, 0o600))
			for w.begun.IsZero() {
				select {
				case e := <-w.events:
					w.heard(e, true)
				case <-time.After(patience):
					t.Fatalf("a change: got none in %s, want it", patience)
				}
			}
		})
	}
}

// A system that forgets its watches must not keep the gate reading.
func TestCatchingUpIsBounded(t *testing.T) {
	k := startKept(t, nil)
	w := newWatch(k.Log)
	defer w.close()
	n := 0
	for range 10 * maxCatchUp {
		w.follow(k.Files())
		if !w.begun.IsZero() {
			n++
		}
		w.settled()
		for dir := range w.folders {
			do(t, w.system.Remove(dir))
		}
	}
	if n != maxCatchUp {
		t.Errorf("readings: got %d, want %d", n, maxCatchUp)
	}
	w.changed()
	w.settled()
	if w.follow(k.Files()); w.begun.IsZero() {
		t.Error("after a change: got nothing to catch up with, want it again")
	}
}

func TestTrail(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	do(t, os.MkdirAll(dir+"/a/b", 0o700), os.WriteFile(dir+"/a/b/file", nil, 0o600), os.Symlink("b", dir+"/a/link"), os.Symlink(dir+"/a", dir+"/top"),
		os.Symlink("loop", dir+"/loop"), os.Symlink("../a/./link/../b/file", dir+"/a/winding"))
	for _, row := range []struct {
		path string
		want []string
	}{
		{"a/b/file", []string{"a/b file"}},
		{"a//b/./file", []string{"a/b file"}},
		{"a/b/missing", []string{"a/b missing"}},
		{"a/missing/deep/file", []string{"a missing"}},
		{"a/link/file", []string{"a link", "a/b file"}},
		{"top/link/file", []string{" top", "a link", "a/b file"}},
		{"a/link/../b/file", []string{"a link", "a/b file"}},
		{"a/winding", []string{"a winding", "a link", "a/b file"}},
		{"a/b/file/below", []string{"a/b file"}},
		{"a/b", nil},
		{"loop", slices.Repeat([]string{" loop"}, maxLinks+1)},
	} {
		t.Run(row.path, func(t *testing.T) {
			var got []string
			trail(dir+"/"+row.path, func(at, name string) {
				got = append(got, strings.TrimPrefix(strings.TrimPrefix(at, dir), "/")+" "+name)
			})
			if !slices.Equal(got, row.want) {
				t.Errorf("got %q, want %q", got, row.want)
			}
		})
	}
}
