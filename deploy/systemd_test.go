package deploy

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/approovgate/approovgate/internal/attestd"
)

const (
	unitFile    = "systemd/approovgate.service"
	serviceFile = "systemd/attestserver.service"
)

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
	for _, file := range []string{unitFile, serviceFile} {
		out, err := exec.Command(analyze, "security", "--offline=true", "--no-pager", file).CombinedOutput()
		found := regexp.MustCompile(`Overall exposure level for \S+: ([0-9.]+)`).FindSubmatch(out)
		if found == nil {
			t.Fatalf("systemd-analyze security %s: %v\n%s", file, err, out)
		}
		got, err := strconv.ParseFloat(string(found[1]), 64)
		if err != nil || got > threshold {
			t.Errorf("%s: got exposure %s, want at most %.1f\n%s", file, found[1], threshold, out)
		}
		t.Logf("%s: exposure %s", file, found[1])
	}
}

// TestTheUnitsAreWellFormed has systemd read the units with the programs they name replaced by one that is there.
func TestTheUnitsAreWellFormed(t *testing.T) {
	analyze := installed(t, "systemd-analyze", "systemd")
	for _, file := range []string{unitFile, serviceFile} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		there := filepath.Join(t.TempDir(), filepath.Base(file))
		program := regexp.MustCompile(`/usr/local/bin/\w+`)
		if err := os.WriteFile(there, program.ReplaceAll(text, []byte("/bin/true")), 0o644); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command(analyze, "verify", there).CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("systemd-analyze verify %s: %v, want no complaint\n%s", file, err, out)
		}
	}
}

// TestTheServicesUnit holds what the attestation service needs of its unit, and that its flags are some.
func TestTheServicesUnit(t *testing.T) {
	unit := settings(t, serviceFile)
	stop, err := time.ParseDuration(unit["TimeoutStopSec"][0])
	if needs := attestd.StopTime; err != nil || stop <= needs {
		t.Errorf("got TimeoutStopSec=%s, want more than %v", unit["TimeoutStopSec"], needs)
	}
	for name, want := range map[string]string{
		"Type": "notify", "KillSignal": "SIGTERM", "Restart": "on-failure", "DynamicUser": "yes", "ProtectSystem": "strict",
		"StateDirectory": "attestserver", "StateDirectoryMode": "0700", "StartLimitIntervalSec": "0",
		"EnvironmentFile": "/etc/attestserver/attestserver.env", "ExecStart": "/usr/local/bin/attestserver run --data /var/lib/attestserver $FLAGS",
	} {
		if got := strings.Join(unit[name], " "); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	flags := strings.Fields(settings(t, "systemd/attestserver.env")["FLAGS"][0])
	folder := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(folder, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var errs bytes.Buffer
	args := append(append([]string{"run"}, flags...), "--listen", "127.0.0.1:0", "--status", "127.0.0.1:0", "--data", folder)
	if status := attestd.Run(args, io.Discard, &errs); status != 1 || !strings.Contains(errs.String(), folder) {
		t.Errorf("got status %d and %q, want that only the folder is wrong", status, errs.String())
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
