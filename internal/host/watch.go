package host

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	quietFor   = 100 * time.Millisecond // after the last change, before the files are read: changes come in flocks
	latest     = time.Second            // after the first one, however many follow
	maxFolders = 64                     // that are watched; what lies in others is looked at every few seconds
	maxCatchUp = 8                      // readings in a row because watches were new: a tree of folders may be growing
	maxLinks   = 40                     // symbolic links on the way to a file, as Linux has it (path_resolution(7))
)

// watch tells of changes to files by watching the folders they lie in: a file that is replaced by renaming
// another over it is another file. It is for one goroutine. When it cannot watch, it tells of nothing.
type watch struct {
	log     *slog.Logger
	system  *fsnotify.Watcher // nil: nothing can be watched
	events  <-chan fsnotify.Event
	errors  <-chan error
	folders map[string]*folder // that are watched, by path without symbolic links
	refused map[string]string  // folders that cannot be, with the reason

	quiet    *time.Timer // fires when it is time to read the files
	begun    time.Time   // when the first change that was not settled was heard of; zero: there is none
	catchUps int         // readings because watches were new, since the last change that was heard of
}

// folder is a folder that is watched.
type folder struct {
	info  os.FileInfo     // when the watch began
	names map[string]bool // in it that matter
}

// newWatch makes a watch; with no log it watches nothing.
func newWatch(log *slog.Logger) *watch {
	w := &watch{log: log, folders: map[string]*folder{}, refused: map[string]string{}, quiet: time.NewTimer(time.Hour)}
	w.quiet.Stop()
	if log == nil {
		return w
	}
	system, err := fsnotify.NewWatcher()
	if err != nil {
		log.Debug("files are not watched, only looked at every few seconds", "error", err.Error())
		return w
	}
	w.system, w.events, w.errors = system, system.Events, system.Errors
	return w
}

// close ends it.
func (w *watch) close() {
	w.quiet.Stop()
	if w.system != nil {
		_ = w.system.Close() // there is nothing to be lost
	}
}

// heard takes an event of the system.
func (w *watch) heard(e fsnotify.Event, ok bool) {
	if !ok {
		w.events = nil
		return
	}
	if w.concerns(e.Name) {
		w.changed()
	}
}

// concerns reports whether an event is about a file, a link to it or a folder of it. Kubernetes replaces all
// files of a volume at once by renaming a link of the name ..data.
func (w *watch) concerns(path string) bool {
	if w.folders[path] != nil {
		return true
	}
	dir, name := filepath.Split(path)
	f := w.folders[filepath.Clean(dir)]
	return f != nil && (f.names[name] || strings.HasPrefix(name, ".."))
}

// failed takes an error of the system: that there were too many events, most of the time.
func (w *watch) failed(err error, ok bool) {
	if !ok {
		w.errors = nil
		return
	}
	w.log.Debug("watching files", "error", err.Error())
	w.changed()
}

// changed notes that the files must be read, when their folders have been quiet for a moment.
func (w *watch) changed() {
	w.catchUps = 0
	w.arm()
}

// missed notes that the files must be read because nobody watched some of them a moment ago.
func (w *watch) missed() {
	if w.catchUps < maxCatchUp {
		w.catchUps++
		w.arm()
	}
}

func (w *watch) arm() {
	now := time.Now()
	if w.begun.IsZero() {
		w.begun = now
	}
	w.quiet.Reset(max(0, min(quietFor, w.begun.Add(latest).Sub(now))))
}

// settled notes that the files are being read.
func (w *watch) settled() { w.begun = time.Time{} }

// follow watches the folders of files, and of nothing else. Where one of them is watched only from now on, what
// has happened in it before must be read.
func (w *watch) follow(files []string) {
	if w.system == nil {
		return
	}
	wanted := map[string]map[string]bool{}
	for _, file := range files {
		trail(file, func(dir, name string) {
			if wanted[dir] == nil {
				wanted[dir] = map[string]bool{}
			}
			wanted[dir][name] = true
		})
	}
	w.drop(wanted)
	added := false
	for dir, names := range wanted {
		if f := w.folders[dir]; f != nil {
			f.names = names
		} else if w.add(dir, names) {
			added = true
		}
	}
	if added {
		w.missed()
	}
}

// drop ends the watches of folders that are not wanted, and of those that are no longer what they were: a folder of
// this path may be another one by now.
func (w *watch) drop(wanted map[string]map[string]bool) {
	watched := w.system.WatchList()
	for dir, f := range w.folders {
		info, err := os.Stat(dir)
		if wanted[dir] == nil || err != nil || !os.SameFile(info, f.info) || !slices.Contains(watched, dir) {
			_ = w.system.Remove(dir) // it may be gone already
			delete(w.folders, dir)
		}
	}
	for dir := range w.refused {
		if wanted[dir] == nil {
			delete(w.refused, dir)
		}
	}
}

// add watches one folder more, if that can be.
func (w *watch) add(dir string, names map[string]bool) bool {
	info, err := os.Stat(dir)
	if err == nil && len(w.folders) >= maxFolders {
		err = fmt.Errorf("%d folders are watched already", maxFolders)
	}
	if err == nil {
		err = w.system.Add(dir)
	}
	if err == nil {
		w.folders[dir] = &folder{info: info, names: names}
		delete(w.refused, dir)
		return true
	}
	if problem := err.Error(); w.refused[dir] != problem {
		w.refused[dir] = problem
		w.log.Debug("a folder is not watched, only looked at every few seconds", "folder", dir, "error", problem)
	}
	return false
}

// trail walks to a file and notes each folder in which a name decides what is found: the names of symbolic
// links on the way, and the file's own or the first one that is not there.
func trail(path string, note func(dir, name string)) {
	if !filepath.IsAbs(path) {
		here, err := os.Getwd()
		if err != nil {
			return
		}
		path = here + string(filepath.Separator) + path
	}
	dir, rest := split(path)
	for links := 0; len(rest) > 0; {
		name := rest[0]
		rest = rest[1:]
		switch name {
		case "", ".":
			continue
		case "..":
			dir = filepath.Dir(dir)
			continue
		}
		at := filepath.Join(dir, name)
		info, err := os.Lstat(at)
		if err == nil && info.IsDir() {
			dir = at
			continue
		}
		note(dir, name)
		if err != nil || info.Mode()&os.ModeSymlink == 0 || links == maxLinks {
			return
		}
		links++
		target, err := os.Readlink(at)
		if err != nil {
			return
		}
		if filepath.IsAbs(target) {
			var more []string
			dir, more = split(target)
			rest = append(more, rest...)
		} else {
			rest = append(strings.Split(target, string(filepath.Separator)), rest...)
		}
	}
}

// split is the root of an absolute path and the names below it, as written.
func split(path string) (root string, names []string) {
	volume := filepath.VolumeName(path)
	separator := string(filepath.Separator)
	return volume + separator, strings.Split(filepath.ToSlash(path[len(volume):]), "/")
}
