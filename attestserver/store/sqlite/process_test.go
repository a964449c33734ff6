package sqlite_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/approovgate/approovgate/attestserver/account"
	"github.com/approovgate/approovgate/attestserver/store"
	"github.com/approovgate/approovgate/attestserver/store/storetest"
)

// other is a process that runs one test of this program upon a folder.
func other(t *testing.T, test, folder string, each int) *exec.Cmd {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	c := exec.CommandContext(ctx, os.Args[0], "-test.run=^"+test+"$", "-test.count=1")
	c.Env = append(os.Environ(), "SQLITE_TEST_FOLDER="+folder, "SQLITE_TEST_EACH="+strconv.Itoa(each))
	return c
}

// within are the folder and the number that other has given; empty: it is not running this.
func within(t *testing.T) (folder string, each int) {
	folder = os.Getenv("SQLITE_TEST_FOLDER")
	if folder == "" {
		return "", 0
	}
	each, err := strconv.Atoi(os.Getenv("SQLITE_TEST_EACH"))
	if err != nil {
		t.Fatal(err)
	}
	return folder, each
}

// A second process changes accounts and consumes nonces while this one does.
func TestTwoProcesses(t *testing.T) {
	const each = 25
	folder := filepath.Join(t.TempDir(), "data")
	s := open(t, folder)
	if err := s.Create(t.Context(), storetest.Small("acme")); err != nil {
		t.Fatal(err)
	}
	second := other(t, "TestSecondProcess", folder, each)
	var output bytes.Buffer
	second.Stdout, second.Stderr = &output, &output
	if err := second.Start(); err != nil {
		t.Fatal(err)
	}
	fresh := compete(t, s, each)
	if err := second.Wait(); err != nil {
		t.Fatalf("the other process: %v\n%s", err, &output)
	}
	all, _, err := s.Accounts(t.Context())
	if err != nil || all[0].ConfigVersion != 1+2*each {
		t.Errorf("got count %d, %v, want %d", all[0].ConfigVersion, err, 1+2*each)
	}
	if theirs := fmt.Sprintf("fresh: %d\n", each-fresh); !bytes.Contains(output.Bytes(), []byte(theirs)) {
		t.Errorf("got %d fresh nonces here, and there:\n%s\nwant %q", fresh, &output, theirs)
	}
}

func TestSecondProcess(t *testing.T) {
	if folder, each := within(t); folder != "" {
		fmt.Printf("fresh: %d\n", compete(t, open(t, folder), each))
	}
}

func counted(a *account.Account) error {
	a.ConfigVersion++
	a.Entries = append(a.Entries, storetest.Note("x"))
	return nil
}

func numbered(n int) store.Nonce {
	v := store.Nonce{Until: time.Unix(1, 0)}
	binary.BigEndian.PutUint64(v.ID[:], uint64(n))
	return v
}

// compete makes changes and consumes the same nonces as whoever else does, and returns how many were fresh.
func compete(t *testing.T, s store.Store, each int) (fresh int) {
	for i := range each {
		if _, err := s.Change(t.Context(), "acme", counted); err != nil {
			t.Error(err)
		}
		got, err := s.Consume(t.Context(), []store.Nonce{numbered(i)})
		if err != nil {
			t.Error(err)
		} else if got[0] {
			fresh++
		}
	}
	return fresh
}

// What a process has been told is kept must be there after it was killed.
func TestAProcessThatIsKilled(t *testing.T) {
	const enough = 40
	folder := filepath.Join(t.TempDir(), "data")
	victim := other(t, "TestVictim", folder, 0)
	said, err := victim.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := victim.Start(); err != nil {
		t.Fatal(err)
	}
	kept := -1
	for lines := bufio.NewScanner(said); lines.Scan(); {
		if n, err := strconv.Atoi(lines.Text()); err == nil {
			kept = n
		}
		if kept == enough {
			_ = victim.Process.Kill() // and read what it had said by then
		}
	}
	if err := victim.Wait(); err == nil || kept < enough {
		t.Fatalf("got %d and %v of the process, want at least %d and it killed", kept, err, enough)
	}
	s := open(t, folder)
	all, _, err := s.Accounts(t.Context())
	if err != nil || all[0].ConfigVersion < int64(kept)+2 {
		t.Errorf("got count %d, %v, want at least %d", all[0].ConfigVersion, err, kept+2)
	}
	for n := range kept + 1 {
		if fresh, err := s.Consume(t.Context(), []store.Nonce{numbered(n)}); err != nil || fresh[0] {
			t.Errorf("got nonce %d %v, %v, want it used", n, fresh, err)
		}
	}
}

// TestVictim says what has been kept until it is killed.
func TestVictim(t *testing.T) {
	folder, _ := within(t)
	if folder == "" {
		return
	}
	s := open(t, folder)
	if err := s.Create(t.Context(), storetest.Small("acme")); err != nil {
		t.Fatal(err)
	}
	for n := 0; ; n++ {
		if _, err := s.Change(t.Context(), "acme", counted); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Consume(t.Context(), []store.Nonce{numbered(n)}); err != nil {
			t.Fatal(err)
		}
		fmt.Println(n)
	}
}
