package deploy

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

const unitFile = "systemd/approovgate.service"

// settings are a unit file's, the values of each in order.
func settings(t *testing.T, file string) map[string][]string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]string{}
	for _, line := range strings.Split(string(text), "\n") {
		if name, value, ok := strings.Cut(line, "="); ok && !strings.HasPrefix(line, "#") {
			all[name] = append(all[name], value)
		}
	}
	return all
}

// TestTheUnitsExposureIsLow asks systemd itself, which judges a unit file without running it.
func TestTheUnitsExposureIsLow(t *testing.T) {
	const threshold = 2.0
	analyze := installed(t, "systemd-analyze", "systemd")
	out, err := exec.Command(analyze, "security", "--offline=true", "--no-pager", unitFile).CombinedOutput()
	found := regexp.MustCompile(`Overall exposure level for \S+: ([0-9.]+)`).FindSubmatch(out)
	if found == nil {
		t.Fatalf("systemd-analyze security: %v\n%s", err, out)
	}
	got, err := strconv.ParseFloat(string(found[1]), 64)
	if err != nil || got > threshold {
		t.Errorf("got exposure %s, want at most %.1f\n%s", found[1], threshold, out)
	}
	t.Logf("exposure %s", found[1])
}

// TestTheUnitIsWellFormed has systemd read the unit with the programs it names replaced by one that is there.
func TestTheUnitIsWellFormed(t *testing.T) {
	analyze := installed(t, "systemd-analyze", "systemd")
	text, err := os.ReadFile(unitFile)
	if err != nil {
		t.Fatal(err)
	}
	there := filepath.Join(t.TempDir(), filepath.Base(unitFile))
	if err := os.WriteFile(there, []byte(strings.ReplaceAll(string(text), "/usr/local/bin/approovgate", "/bin/true")), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(analyze, "verify", there).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("systemd-analyze verify: %v, want no complaint\n%s", err, out)
	}
}

func TestTheUnitGivesTheDrainItsTime(t *testing.T) {
	limits := defaults(t, map[string]any{})
	drain := limits.DrainDelay + limits.Grace
	unit := settings(t, unitFile)
	stop, err := time.ParseDuration(unit["TimeoutStopSec"][0])
	if err != nil || stop <= drain {
		t.Errorf("got TimeoutStopSec=%s, want more than %v", unit["TimeoutStopSec"], drain)
	}
	for name, want := range map[string]string{
		"Type": "notify", "KillSignal": "SIGTERM", "Restart": "on-failure", "DynamicUser": "yes", "ProtectSystem": "strict",
		"ExecReload": "/bin/kill -HUP $MAINPID",
	} {
		if got := strings.Join(unit[name], " "); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}

// TestTheUnitsGateFileIsRight puts the secret where systemd would, below another folder, and has the program check it.
func TestTheUnitsGateFileIsRight(t *testing.T) {
	credential, _, _ := strings.Cut(settings(t, unitFile)["LoadCredential"][0], ":")
	text, err := os.ReadFile("systemd/gate.yaml")
	if err != nil {
		t.Fatal(err)
	}
	place := "/run/credentials/" + filepath.Base(unitFile) + "/"
	if !strings.Contains(string(text), "file:"+place+credential+"}") {
		t.Fatalf("systemd/gate.yaml does not name the credential, want file:%s%s", place, credential)
	}
	dir := t.TempDir()
	testSecret(t, filepath.Join(dir, credential), 0o440) // as systemd lays it down, for the one user it names beside it
	checkGateFile(t, strings.ReplaceAll(string(text), place, dir+"/"))
}

// installed is the path of a program, which a Debian package brings.
func installed(t *testing.T, program, debian string) string {
	t.Helper()
	found, err := exec.LookPath(program)
	if errors.Is(err, exec.ErrNotFound) && os.Getenv("CI") != "true" {
		t.Skipf("%s is not installed; apt-get install %s", program, debian)
	}
	if err != nil {
		t.Fatal(err)
	}
	return found
}
