package packages_test

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/approovgate/approovgate/measure/apk"
	"github.com/approovgate/approovgate/measure/zipfile"
)

// framework is what Debian's android-framework-res installs: Android's own resources, which aapt needs.
const framework = "/usr/share/android-framework-res/framework-res.apk"

// apkNeeds skips a test whose files or programs are not there, and fails it where CI is set.
func apkNeeds(t *testing.T, needed map[string]string) {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(needed)) {
		_, err := os.Stat(name)
		if !strings.Contains(name, "/") {
			_, err = exec.LookPath(name)
		}
		switch {
		case err == nil:
		case os.Getenv("CI") != "":
			t.Fatalf("%s is not there; %s", name, needed[name])
		default:
			t.Skipf("%s is not there; %s", name, needed[name])
		}
	}
}

const (
	installAapt      = "apt-get install aapt"
	installApksigner = "apt-get install apksigner"
	installFramework = "apt-get install android-framework-res"
)

// run runs a program and returns what it prints, also if it fails.
func run(t *testing.T, program string, arguments ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), program, arguments...).Output()
	if err != nil {
		t.Logf("%s %.300q: %v", program, arguments, err)
	}
	return string(out)
}

// must runs a program that must not fail.
func must(t *testing.T, program string, arguments ...string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), program, arguments...).CombinedOutput(); err != nil {
		t.Fatalf("%s %q: %v\n%.2000s", program, arguments, err, out)
	}
}

// openAPK opens a package.
func openAPK(t *testing.T, path string) ([]byte, *zipfile.Archive) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	a, err := zipfile.Open(bytes.NewReader(content), int64(len(content)))
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return content, a
}

// ourManifest is what we read of a manifest, as one line.
func ourManifest(t *testing.T, path string) string {
	t.Helper()
	_, a := openAPK(t, path)
	m, err := apk.ReadManifest(a)
	if err != nil || len(m.Warnings) > 0 {
		t.Fatalf("%s: %v %q", path, err, m.Warnings)
	}
	target := m.TargetSDK
	if target == 0 {
		target = m.MinSDK
	}
	return fmt.Sprintf("%s %d %q min %d target %d debuggable %v test %v", m.Package, m.VersionCode, m.VersionName, m.MinSDK, target, m.Debuggable, m.TestOnly)
}

// aaptManifest is what aapt reads of it.
func aaptManifest(t *testing.T, path string) string {
	t.Helper()
	out := run(t, "aapt", "dump", "badging", path)
	field := func(form string) string {
		if match := regexp.MustCompile(form).FindStringSubmatch(out); match != nil {
			return match[1]
		}
		return ""
	}
	number := func(form string) int {
		n, _ := strconv.Atoi(field(form))
		return n
	}
	target := number(`(?m)^targetSdkVersion:'([^']*)'`)
	least := number(`(?m)^sdkVersion:'([^']*)'`)
	if target == 0 {
		target = least
	}
	return fmt.Sprintf("%s %d %q min %d target %d debuggable %v test %v", field(`^package: name='([^']*)'`), number(` versionCode='([^']*)'`), field(` versionName='([^']*)'`),
		least, target, strings.Contains(out, "\napplication-debuggable"), strings.Contains(out, "\ntestOnly='-1'"))
}

// ourSigners are the certificates of each scheme, and all warnings.
func ourSigners(t *testing.T, path string) (map[string][]string, []string) {
	t.Helper()
	content, a := openAPK(t, path)
	s, err := apk.ReadSignatures(bytes.NewReader(content), int64(len(content)), a)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	if _, err := io.Copy(s, bytes.NewReader(content)); err != nil {
		t.Fatal(err)
	}
	for _, f := range a.Files() {
		if err := readFile(s, f); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
	}
	all, warnings := s.Result()
	signers := map[string][]string{}
	for _, one := range all {
		signers[one.Scheme] = append(signers[one.Scheme], one.SHA256+" "+one.Key)
	}
	return signers, warnings
}

// lineages are the certificates that signers had, of each that has had more than one.
func lineages(t *testing.T, path string) [][]string {
	t.Helper()
	content, a := openAPK(t, path)
	s, err := apk.ReadSignatures(bytes.NewReader(content), int64(len(content)), a)
	if err != nil {
		t.Fatal(err)
	}
	var all [][]string
	signers, _ := s.Result()
	for _, one := range signers {
		switch {
		case len(one.Lineage) == 0:
		case one.Lineage[len(one.Lineage)-1] != one.SHA256:
			t.Errorf("got a lineage %v that does not end in the signer, %s", one.Lineage, one.SHA256)
		default:
			all = append(all, one.Lineage)
		}
	}
	return all
}

// apksignerSigners are the certificates of each scheme. It prints those of the scheme that a device goes by, so it is
// asked about devices of three ages.
func apksignerSigners(t *testing.T, path string) map[string][]string {
	t.Helper()
	signers := map[string][]string{}
	for _, age := range []struct{ scheme, least, most string }{{"v1", "18", "23"}, {"v2", "24", "27"}, {"v3", "28", "32"}} {
		out := run(t, "apksigner", "verify", "--print-certs", "-v", "--min-sdk-version", age.least, "--max-sdk-version", age.most, path)
		if !strings.Contains(out, "Verified using "+age.scheme+" scheme") || !regexp.MustCompile(`Verified using `+age.scheme+` scheme [^\n]*: true`).MatchString(out) {
			continue
		}
		for _, match := range regexp.MustCompile(`(?s)certificate SHA-256 digest: (\w+).*?key algorithm: (\w+)\n.*?key size \(bits\): (\d+)`).FindAllStringSubmatch(out, -1) {
			signers[age.scheme] = append(signers[age.scheme], match[1]+" "+match[2]+" "+match[3])
		}
	}
	return signers
}

// apks are the packages among those that npm has installed.
func apks(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, pattern := range []string{"*/apks/*.apk", "*/bin/*.apk"} {
		found, err := filepath.Glob(filepath.Join(npm, pattern))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, found...)
	}
	return all
}
