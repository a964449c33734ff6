package gate_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/approovgate/approovgate/engine"
	"github.com/approovgate/approovgate/gate"
)

// keptFleet is a fleet whose documents are kept in its folder, sealed where they hold secrets.
func keptFleet(t testing.TB) *fleet {
	t.Helper()
	f := ringFleet(t, nil)
	f.policy["control"] = with2(f.policy["control"].(tree), tree{"cache": f.dir, "seal": "env:SEAL"})
	return f
}

// down takes every document away.
func (p *plane) down() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pages = map[string]page{}
}

func TestARestartWithoutSourcesUsesWhatWasKept(t *testing.T) {
	f := keptFleet(t)
	f.plane.put("/control", f.plane.control(t, 7, bypass(15)))
	f.plane.put("/ring", f.plane.ring(t, 3, member("one", nil)))
	f.start(t)
	f.poll()
	if failure := f.g.Status().KeepFailure; failure != "" || len(f.kept(t)) != 2 {
		t.Fatalf("got failure %q and files %v, want two kept", failure, f.kept(t))
	}
	old, older := f.plane.control(t, 6, bypass(60)), f.plane.ring(t, 2, member("two", nil))
	f.plane.down()
	f.pass(5 * time.Minute)
	f.events = nil
	f.start(t)
	f.wantEvents(t, "at the restart", "control_set remote 7", "keys_changed keys[0].ring")
	for _, name := range []string{"control.url", "keys[0].ring"} {
		if s := f.source(t, name); !s.Kept || s.Good.IsZero() || s.Failure != "" || s.Tries != 0 || !s.Tried.IsZero() {
			t.Errorf("%s: got %+v, want kept, without an attempt", name, s)
		}
	}
	if !f.g.Ready() {
		t.Error("got not ready, want the kept keys")
	}
	f.wantReason(t, "after the restart", "one", engine.Bypassed)
	f.poll()
	f.wantReason(t, "with the sources down", "one", engine.Bypassed)
	f.wantEvents(t, "with the sources down", "source_failing", "source_failing")
	f.plane.put("/control", old)
	f.plane.put("/ring", older)
	f.poll()
	for name, want := range map[string]string{"control.url": "version: 6 is not higher than 7", "keys[0].ring": "version: 2 is lower than 3"} {
		if s := f.source(t, name); !strings.HasPrefix(s.Failure, want) || !s.Kept {
			t.Errorf("%s: an older document is replayed: got %+v, want failure %q and the kept one", name, s, want)
		}
	}
	f.after(15 * time.Minute)
	f.wantReason(t, "at the end of the bypass", "one", engine.OK)
	f.wantReason(t, "at the end of the bypass", "two", engine.SignatureInvalid)
	f.plane.put("/control", f.plane.control(t, 8, tree{"until": ""}))
	f.plane.put("/ring", f.plane.ring(t, 4, member("two", nil)))
	f.poll()
	for _, name := range []string{"control.url", "keys[0].ring"} {
		if s := f.source(t, name); s.Kept || s.Failure != "" {
			t.Errorf("%s: got %+v, want a fresh one", name, s)
		}
	}
	f.start(t)
	f.wantReason(t, "after another restart", "two", engine.OK)
	if v := f.g.Control(gate.Remote).Version; v != 8 {
		t.Errorf("after another restart: got version %d, want 8", v)
	}
}

// A document that has ended is kept all the same: no older one may come after it.
func TestAnEndedDocumentIsAFloorAfterARestart(t *testing.T) {
	f := keptFleet(t)
	f.plane.put("/control", f.plane.control(t, 7, bypass(15)))
	f.start(t)
	f.poll()
	replayed := f.plane.control(t, 6, bypass(60))
	f.pass(16 * time.Minute)
	f.start(t)
	f.plane.put("/control", replayed)
	f.poll()
	if got := f.source(t, "control.url").Failure; !strings.HasPrefix(got, "version: 6 is not higher than 7") || f.g.Status().Mode != "enforce" {
		t.Errorf("got failure %q and mode %s, want the replay refused and enforce", got, f.g.Status().Mode)
	}
}

// Nothing of a ring can be read from the file that keeps it.
func TestARingIsKeptSealed(t *testing.T) {
	f := keptFleet(t)
	f.plane.put("/ring", f.plane.ring(t, 1, member("one", nil), member("two", tree{"secret": "inline:" + strings.Repeat("raw secret ", 4), "encoding": "raw"})))
	f.start(t)
	f.poll()
	files := f.kept(t)
	if len(files) != 1 {
		t.Fatalf("got files %v, want one", files)
	}
	info, err := os.Stat(files[0])
	if err != nil || info.Mode() != 0o600 {
		t.Errorf("got mode %v and error %v, want 0600", info.Mode(), err)
	}
	text, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	for name, forms := range map[string][]string{"one": spellings(testKey("one")), "two": spellings([]byte("raw secret raw")), "the seal": spellings(testKey("seal")), "the envelope": {"eyJ", "edge"}} {
		for _, form := range forms {
			if bytes.Contains(text, []byte(form)) {
				t.Errorf("got %q of %s in the file, want it nowhere", form, name)
			}
		}
	}
	f.policy["control"].(tree)["seal"] = ""
	f.dir = t.TempDir()
	f.policy["control"].(tree)["cache"] = f.dir
	f.start(t)
	f.poll()
	if files := f.kept(t); len(files) != 0 || f.g.Status().KeepFailure != "" {
		t.Errorf("without a seal: got files %v, want none", files)
	}
}

// spellings are the ways in which bytes could be written down.
func spellings(secret []byte) []string {
	return []string{
		string(secret), base64.StdEncoding.EncodeToString(secret)[:16], base64.RawURLEncoding.EncodeToString(secret)[:16],
		hex.EncodeToString(secret)[:16], strings.ToUpper(hex.EncodeToString(secret))[:16],
		base64.RawURLEncoding.EncodeToString([]byte(base64.StdEncoding.EncodeToString(secret)))[:16],
	}
}

// keptSpoils are what may happen to the kept files.
var keptSpoils = []struct {
	name          string
	spoil         func(t *testing.T, f *fleet, ring, control string)
	ring, control string // in the failures; empty: none
}{
	{"another seal", func(_ *testing.T, f *fleet, _, _ string) { f.secrets["env:SEAL"] = encoded("other") }, "cannot be unsealed: control.seal has changed, or the file; delete it", ""},
	{"a changed bit in the ring", func(t *testing.T, _ *fleet, ring, _ string) { flip(t, ring, -1) }, "cannot be unsealed", ""},
	{"another nonce", func(t *testing.T, _ *fleet, ring, _ string) { flip(t, ring, 25) }, "cannot be unsealed", ""},
	{"another mark", func(t *testing.T, _ *fleet, ring, _ string) { flip(t, ring, 0) }, "is not sealed; delete it", ""},
	{"a ring that is cut off", func(t *testing.T, _ *fleet, ring, _ string) {
		overwrite(t, ring, []byte("approovgate-sealed-1\nshort"))
	}, "is not sealed; delete it", ""},
	{"a ring in clear text", func(t *testing.T, f *fleet, ring, _ string) {
		overwrite(t, ring, []byte(f.plane.ring(t, 9, member("two", nil))))
	}, "is not sealed; delete it", ""},
	{"an empty ring", func(t *testing.T, _ *fleet, ring, _ string) { overwrite(t, ring, nil) }, "is empty", ""},
	{"a changed letter in the control document", func(t *testing.T, _ *fleet, _, control string) { flip(t, control, 150) }, "", "the envelope cannot be trusted"},
	{"files in each other's place", func(t *testing.T, _ *fleet, ring, control string) {
		for _, move := range [][2]string{{ring, ring + "x"}, {control, ring}, {ring + "x", control}} {
			if err := os.Rename(move[0], move[1]); err != nil {
				t.Fatal(err)
			}
		}
	}, "is not sealed", "the envelope cannot be trusted"},
	{"files that others may write", func(t *testing.T, _ *fleet, ring, control string) {
		for _, file := range []string{ring, control} {
			if err := os.Chmod(file, 0o666); err != nil {
				t.Fatal(err)
			}
		}
	}, "can be written by others", "can be written by others"},
	{"other signing keys", func(t *testing.T, f *fleet, _, _ string) { _, f.secrets["env:CONTROL_KEY"] = signingKey(t) }, "the envelope cannot be trusted", "the envelope cannot be trusted"},
	{"a clock far behind", func(_ *testing.T, f *fleet, _, _ string) { f.after(-time.Hour) }, "iat", "iat"},
}

func TestKeptFilesThatAreRefused(t *testing.T) {
	for _, row := range keptSpoils {
		f := keptFleet(t)
		f.plane.put("/control", f.plane.control(t, 7, bypass(15)))
		f.start(t)
		f.poll()
		control := f.kept(t)[0]
		f.plane.put("/ring", f.plane.ring(t, 3, member("one", nil)))
		f.poll()
		ring := f.kept(t)[0]
		if ring == control {
			ring = f.kept(t)[1]
		}
		f.plane.down()
		row.spoil(t, f, ring, control)
		f.mu.Lock()
		f.events = nil
		f.mu.Unlock()
		f.start(t)
		f.g.Refresh()
		told := []string{}
		for _, one := range []struct{ name, want, good string }{{"control.url", row.control, "control_set remote 7"}, {"keys[0].ring", row.ring, "keys_changed keys[0].ring"}} {
			s := f.source(t, one.name)
			if one.want == "" && (s.Failure != "" || !s.Kept) || one.want != "" && (!strings.HasPrefix(s.Failure, "what an earlier run has kept: ") || !strings.Contains(s.Failure, one.want) || s.Kept || !s.Good.IsZero()) {
				t.Errorf("%s: %s: got %+v, want failure %q", row.name, one.name, s, one.want)
			}
			if one.want != "" {
				one.good = "source_failing " + one.name + ": what an earlier run has kept: "
			}
			told = append(told, one.good)
		}
		f.wantEvents(t, row.name, told...)
		if f.g.Ready() != (row.ring == "") || (f.g.Status().Mode == "bypass") != (row.control == "") {
			t.Errorf("%s: got ready %v in mode %s, want only what is good in force", row.name, f.g.Ready(), f.g.Status().Mode)
		}
	}
}

func flip(t *testing.T, file string, i int) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	text[(len(text)+i)%len(text)] ^= 1
	overwrite(t, file, text)
}

func overwrite(t *testing.T, file string, text []byte) {
	t.Helper()
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// One folder may serve several gates, and one gate that moves from one URL to another.
func TestKeptFilesAreForOneGateAndURL(t *testing.T) {
	f := keptFleet(t)
	f.plane.put("/control", f.plane.control(t, 7, with2(bypass(15), tree{"aud": []any{"edge", "core"}})))
	f.plane.put("/ring", f.plane.ring(t, 3, member("one", nil)))
	f.start(t)
	f.poll()
	good := f.policy
	for name, change := range map[string]tree{
		"another gate": {"name": "core"},
		"other URLs":   {"keys": []any{tree{"name": "fleet", "ring": f.plane.URL + "/moved"}}, "control": with2(good["control"].(tree), tree{"url": f.plane.URL + "/moved"})},
	} {
		f.change(func(d *desk) { d.policy = with2(good, change) })
		f.start(t)
		if f.g.Ready() || f.g.Status().Mode != "enforce" {
			t.Errorf("%s: got ready %v in mode %s, want nothing of the other's", name, f.g.Ready(), f.g.Status().Mode)
		}
	}
}

// A folder that cannot be written to changes no verdict. It is reported, and tried again.
func TestACacheThatCannotBeWritten(t *testing.T) {
	f := keptFleet(t)
	good := filepath.Join(f.dir, "cache")
	f.policy["control"].(tree)["cache"] = good
	f.plane.show("/control", page{text: f.plane.control(t, 7, bypass(15)), tag: `"1"`})
	f.plane.show("/ring", page{text: f.plane.ring(t, 3, member("one", nil)), tag: `"1"`})
	f.start(t)
	for range 2 {
		f.poll()
		failure := f.g.Status().KeepFailure
		for _, part := range []string{"control.url: ", "keys[0].ring: ", "cannot be written: no such file or directory"} {
			if !strings.Contains(failure, part) {
				t.Errorf("got failure %q, want %q in it", failure, part)
			}
		}
		if problems := problemText(f.g.Refresh()); !strings.Contains(problems, "control.cache: control.url: ") {
			t.Errorf("got problems %q, want a warning of the cache", problems)
		}
		if got := f.g.Status(); got.Failing || got.Mode != "bypass" || !f.g.Ready() {
			t.Errorf("got %+v, want what was fetched in force", got)
		}
	}
	if err := os.Mkdir(good, 0o700); err != nil {
		t.Fatal(err)
	}
	f.poll()
	if files, err := os.ReadDir(good); len(files) != 2 || err != nil || f.g.Status().KeepFailure != "" {
		t.Errorf("once it can be written: got files %v, %v and failure %q, want two and none", files, err, f.g.Status().KeepFailure)
	}
	f.plane.down()
	f.start(t)
	if s := f.source(t, "keys[0].ring"); s.Failure != "" || !s.Kept || f.g.Status().Mode != "bypass" {
		t.Errorf("after a restart: got %+v and mode %s, want what was kept in the end", s, f.g.Status().Mode)
	}
}

// What has not changed is not written again, even if the server knows no tags.
func TestADocumentIsWrittenOnce(t *testing.T) {
	f := keptFleet(t)
	f.plane.put("/control", f.plane.control(t, 7, bypass(15)))
	f.plane.put("/ring", f.plane.ring(t, 3, member("one", nil)))
	f.start(t)
	f.poll()
	stamp := func() string {
		all := ""
		for _, file := range f.kept(t) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			all += file + base64.StdEncoding.EncodeToString(text)
		}
		return all
	}
	before := stamp() // sealing draws another nonce each time
	inode := func() os.FileInfo {
		info, err := os.Stat(f.kept(t)[0])
		if err != nil {
			t.Fatal(err)
		}
		return info
	}
	first := inode()
	f.poll()
	f.start(t)
	f.poll()
	if stamp() != before || !os.SameFile(first, inode()) {
		t.Error("got the files written again, want them left alone")
	}
}

// A cache that is named later, or sealed otherwise, gets what is in force although the server says that it is unchanged.
func TestACacheThatIsNamedLater(t *testing.T) {
	f := keptFleet(t)
	cached := f.policy["control"].(tree)
	f.policy["control"] = with2(cached, tree{"cache": "", "seal": ""})
	f.plane.show("/control", page{text: f.plane.control(t, 7, bypass(15)), tag: `"1"`})
	f.plane.show("/ring", page{text: f.plane.ring(t, 3, member("one", nil)), tag: `"1"`})
	f.start(t)
	f.poll()
	if files := f.kept(t); len(files) != 0 {
		t.Fatalf("got files %v, want none", files)
	}
	f.change(func(d *desk) { d.policy["control"] = cached })
	f.g.Refresh()
	f.poll()
	if files := f.kept(t); len(files) != 2 {
		t.Errorf("got files %v, want two", files)
	}
	f.change(func(d *desk) { d.secrets["env:SEAL"] = encoded("other") })
	f.g.Refresh()
	f.poll()
	f.plane.down()
	f.start(t)
	if failure := f.source(t, "keys[0].ring").Failure; failure != "" || !f.g.Ready() {
		t.Errorf("after another seal and a restart: got failure %q and ready %v, want the ring", failure, f.g.Ready())
	}
}

// A key set is public, and kept as it is.
func TestAKeySetIsKept(t *testing.T) {
	f := setFleet(t, nil)
	f.policy["control"] = tree{"cache": f.dir}
	one, _ := signingKey(t)
	f.plane.put("/set", jwks(t, jwk(t, one, "1")))
	f.start(t)
	f.poll()
	f.plane.down()
	f.start(t)
	f.wantSigned(t, "after a restart", one, "1", engine.OK)
	f.poll()
	f.wantSigned(t, "with the source down", one, "1", engine.OK)
}
