package plist_test

import (
	"bytes"
	"encoding/base64"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/approovgate/approovgate/measure/plist"
)

// python is what Python's plistlib makes of each file.
func python(t *testing.T, files [][]byte) []string {
	t.Helper()
	if _, err := exec.LookPath("python3"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("python3 is not there")
		}
		t.Skip("python3, whose reader is compared with ours, is not there")
	}
	var in bytes.Buffer
	for _, file := range files {
		in.WriteString(base64.StdEncoding.EncodeToString(file) + "\n")
	}
	command := exec.CommandContext(t.Context(), "python3", "testdata/canonical.py")
	command.Stdin, command.Stderr = &in, os.Stderr
	out, err := command.Output()
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
	if len(lines) != len(files) {
		t.Fatalf("got %d answers, want %d", len(lines), len(files))
	}
	return lines
}

// TestPythonReadsTheSame gives whole files and some thousands of damaged ones to both readers. What ours reads, Python's
// reads to the same value; ours refuses more.
func TestPythonReadsTheSame(t *testing.T) {
	var whole [][]byte
	for _, value := range rows() {
		text, _ := toXML(value)
		whole = append(whole, toBinary(value), []byte(text))
	}
	files := append([][]byte(nil), whole...)
	random := rand.New(rand.NewPCG(1, 2))
	for range 6000 {
		file := append([]byte(nil), whole[random.IntN(len(whole))]...)
		for range 1 + random.IntN(3) {
			file[random.IntN(len(file))] ^= 1 << random.IntN(8)
		}
		files = append(files, file)
	}
	read, damagedRead, onlyPython := 0, 0, 0
	for i, theirs := range python(t, files) {
		value, err := plist.Parse(files[i])
		switch {
		case err != nil && i < len(whole):
			t.Errorf("%q: got %v, want %.200s", files[i], err, theirs)
		case err != nil:
			if !strings.HasPrefix(theirs, "error: ") {
				onlyPython++
			}
		case canonical(value) != theirs:
			t.Errorf("%q: got %.300s, Python %.300s", files[i], canonical(value), theirs)
		case i < len(whole):
			read++
		default:
			damagedRead++
		}
	}
	t.Logf("%d whole and %d damaged files read the same, %d damaged ones read by Python alone", read, damagedRead, onlyPython)
	if read != len(whole) || damagedRead < 500 {
		t.Errorf("got %d whole and %d damaged files read by both, want %d and 500", read, damagedRead, len(whole))
	}
}
