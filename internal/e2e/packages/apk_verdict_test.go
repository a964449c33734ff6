package packages_test

import (
	"bytes"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/approovgate/approovgate/measure/apk"
	"github.com/approovgate/approovgate/measure/zipfile"
)

// ourVerdict is who signed a package, by the scheme that a device goes by, and what is wrong with it.
func ourVerdict(content []byte) (signers, faults []string) {
	a, err := zipfile.Open(bytes.NewReader(content), int64(len(content)))
	if err != nil {
		return nil, []string{err.Error()}
	}
	if _, err := apk.ReadManifest(a); err != nil {
		return nil, []string{err.Error()}
	}
	s, err := apk.ReadSignatures(bytes.NewReader(content), int64(len(content)), a)
	if err != nil {
		return nil, []string{err.Error()}
	}
	_, _ = s.Write(content) // it only takes digests
	for _, f := range a.Files() {
		if err := readFile(s, f); err != nil {
			return nil, []string{err.Error()}
		}
	}
	all, faults := s.Result()
	for _, scheme := range []string{apk.SchemeV3, apk.SchemeV2, apk.SchemeV1} {
		for _, one := range all {
			if one.Scheme == scheme {
				signers = append(signers, one.SHA256)
			}
		}
		if len(signers) > 0 {
			break
		}
	}
	slices.Sort(signers)
	return slices.Compact(signers), faults
}

// readFile reads a file, and gives it to what compares it with what was signed.
func readFile(s *apk.Signatures, f *zipfile.File) error {
	content, err := f.Open()
	if err != nil {
		return err
	}
	to := s.Content(f)
	if to == nil {
		to = io.Discard
	}
	_, err = io.Copy(to, content)
	_ = content.Close()
	return err
}

// stricter are packages that apksigner takes and we warn of, and why.
func stricter(name string) string {
	switch name {
	case "a second signature of the same list":
		return "Android takes either"
	case "v2 removed, v3 left":
		return "Android 7 and 8 go by v1, which says that v2 is there"
	case "v2 by somebody else, v1 as it was":
		return "apksigner looks at v1 only if the app is for Android 6 too"
	}
	if strings.Contains(name, ", byte ") {
		return "CRCs, and what the archive says twice, are compared"
	}
	return ""
}

// TestChangedAPKs compares with apksigner what becomes of packages that are changed after they were signed: whatever it
// refuses is warned of, and whatever it takes is taken, by the same signers.
func TestChangedAPKs(t *testing.T) {
	apkNeeds(t, map[string]string{"apksigner": installApksigner})
	keys := newJarKeys()
	random := rand.New(rand.NewPCG(1, 2))
	all := slices.Concat(keys.changedFiles(), keys.changedLists(), keys.changedBlocks(), keys.flips(1, random.IntN))
	taken, refused := 0, 0
	for _, m := range all {
		signers, faults := ourVerdict(m.apk)
		if len(faults) == 0 {
			taken++
		} else {
			refused++
		}
		t.Run(m.name, func(t *testing.T) {
			t.Parallel() // each is a program in Java, which starts for half a second
			path := filepath.Join(t.TempDir(), "changed.apk")
			if err := os.WriteFile(path, m.apk, 0o600); err != nil {
				t.Fatal(err)
			}
			out, err := exec.CommandContext(t.Context(), "apksigner", "verify", "--print-certs", path).Output()
			var want []string
			for _, match := range regexp.MustCompile(`certificate SHA-256 digest: (\w+)`).FindAllStringSubmatch(string(out), -1) {
				want = append(want, match[1])
			}
			slices.Sort(want)
			switch {
			case err != nil && len(faults) == 0:
				t.Errorf("taken as signed by %v, but apksigner refuses it", signers)
			case err == nil && len(faults) == 0 && !slices.Equal(signers, slices.Compact(want)):
				t.Errorf("got signers %v, want %v", signers, want)
			case err == nil && len(faults) > 0 && stricter(m.name) == "":
				t.Errorf("got %q, but apksigner takes it", faults)
			}
		})
	}
	if taken < 20 || refused < 40 {
		t.Errorf("%d packages are taken and %d refused, want at least 20 and 40: the test is of too little", taken, refused)
	}
}
