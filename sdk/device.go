package sdk

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/approovgate/approovgate/attestapi"
)

// The seed of the device ID. Its file has a name that no package can have, so that the folder of the package a/b can
// lie in that of a.
const (
	seedSize = 32
	seedFile = "device+seed"
)

// device is the device ID: a hash of the package's name and of a random seed that stays on the device (manual, "Device
// ID Stability"). Where no seed can be kept, it lasts as long as the process.
func (c *Client) device(folder string) string {
	seed, err := keptSeed(folder, c.pkg)
	if err != nil {
		c.log.Warn("the device ID changes with the next start: no state can be kept: " + err.Error())
		seed = newSeed()
	}
	m := hmac.New(sha256.New, seed)
	m.Write([]byte("approovgate device ID\x00" + c.pkg))
	return base64.StdEncoding.EncodeToString(m.Sum(nil)[:attestapi.DeviceIDSize])
}

func newSeed() []byte {
	seed := make([]byte, seedSize)
	_, _ = rand.Read(seed) // never fails
	return seed
}

// keptSeed is the seed kept in a folder, the default one if empty. It is made if it is not there or damaged.
func keptSeed(folder, pkg string) ([]byte, error) {
	if folder == "" {
		base, err := os.UserConfigDir()
		if err != nil {
			return nil, err
		}
		if name := filepath.FromSlash(pkg); filepath.IsLocal(name) {
			folder = filepath.Join(base, "approovgate", name)
		} else {
			return nil, fmt.Errorf("%.80q cannot name a folder", pkg)
		}
	}
	path := filepath.Join(folder, seedFile)
	if seed, err := readSeed(path); err == nil {
		return seed, nil
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, err
	}
	if err := writeSeed(folder, path); err != nil {
		return nil, err
	}
	return readSeed(path) // of two that start at once, both end with what is there
}

func readSeed(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }() // only read
	text, err := io.ReadAll(io.LimitReader(file, 4*seedSize))
	if err != nil {
		return nil, err
	}
	seed, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(seed) != seedSize {
		return nil, errors.New("the seed is damaged")
	}
	return seed, nil
}

// writeSeed puts a new seed in place, whole or not at all.
func writeSeed(folder, path string) error {
	file, err := os.CreateTemp(folder, seedFile+"-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(file.Name()) }() // gone already if it was renamed
	_, err = file.WriteString(hex.EncodeToString(newSeed()) + "\n")
	if err == nil {
		err = file.Sync()
	}
	if closed := file.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return err
	}
	// A link leaves alone what another process has put there meanwhile. Some systems allow none.
	if os.Link(file.Name(), path) == nil {
		return nil
	}
	if _, err := readSeed(path); err == nil {
		return nil
	}
	return os.Rename(file.Name(), path)
}
