package gate

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/approovgate/approovgate/config"
	"github.com/approovgate/approovgate/source"
)

// sealMark begins a sealed document, and tells the format.
const sealMark = "approovgate-sealed-1\n"

// keptAt is the file in a folder that keeps a gate's document from a source.
func keptAt(folder, gate string, r *remote) string {
	sum := sha256.Sum256([]byte(gate + "\x00" + r.kind() + "\x00" + r.url))
	return filepath.Join(folder, "approovgate-"+hex.EncodeToString(sum[:8]))
}

// sealer reads the secret that rings are sealed with. It stays in the function returned; nil: there is none.
func (g *Gate) sealer(c config.ControlSources) (func() []byte, []config.Problem) {
	if c.Seal == "" {
		return nil, nil
	}
	text, _, err := g.o.Read(c.Seal)
	if err == nil {
		text, err = source.DecodeSecret(text, "base64")
	}
	if err != nil {
		return nil, []config.Problem{{Path: "control.seal", Text: err.Error()}}
	}
	return func() []byte { return text }, nil
}

// toSave notes that a good document is to be kept for the next run, if it is not that already. A ring holds
// secrets, and is kept sealed or not at all. mu is held.
func (r *remote) toSave(text []byte) {
	path, seal, sum := r.keep, r.seal, digest(text)
	if path == "" || r.isRing() && seal == nil || sum == r.saved {
		return
	}
	r.saved = sum
	r.save = func() string {
		var err error
		kept := text
		if seal != nil {
			kept, err = sealText(seal(), path, text)
		}
		if err == nil && len(kept) > source.MaxSize {
			err = errors.New("the document is too long to be kept; make it shorter")
		}
		if err == nil {
			err = source.Write(path, kept)
		}
		if err != nil {
			return err.Error()
		}
		return ""
	}
}

// beginSave is what keeps the last good document, if it is to be kept and no other call is about it.
func (g *Gate) beginSave(r *remote) func() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	if r.saving || r.save == nil {
		return nil
	}
	save := r.save
	r.saving = true
	r.save = nil
	return save
}

// endSave notes what came of keeping a document, and returns what keeps a newer one, if one has come meanwhile:
// an older one never replaces it. What has failed is tried again after the next fetch.
func (g *Gate) endSave(r *remote, done func() string, failure string) func() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	r.saveFail = failure
	next := r.save
	r.save = nil
	if next == nil {
		r.saving = false
		if failure != "" {
			r.save = done
		}
	}
	return next
}

// keepFailure is what keeps documents from being kept; empty: nothing. mu is held.
func (g *Gate) keepFailure() string {
	var all []string
	for _, r := range g.remotes {
		if r.saveFail != "" {
			all = append(all, r.field+": "+r.saveFail)
		}
	}
	return strings.Join(all, "; ")
}

// readKept reads what an earlier run has kept, unless something newer is known; nil: nothing. The text stays in the
// function.
func (g *Gate) readKept(r *remote) func() ([]byte, time.Time, error) {
	if r.isRing() && r.seal == nil || !g.lacks(r) || gone(r.keep) {
		return nil
	}
	var text []byte
	var written time.Time
	info, err := os.Stat(r.keep)
	if err == nil {
		written = info.ModTime()
		text, _, err = source.Read("file:" + r.keep)
	}
	if err == nil && r.seal != nil {
		text, err = openSealed(r.seal(), r.keep, text)
	}
	return func() ([]byte, time.Time, error) { return text, written, err }
}

// lacks reports whether nothing is known of what a remote would bring.
func (g *Gate) lacks(r *remote) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.unknown(g.known(r.kind()))
}

// Awaits reports whether some source has brought nothing yet, neither to this gate nor to its kin, so that a host
// may wait for it before it serves.
func (g *Gate) Awaits() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, r := range g.remotes {
		if g.unknown(r) {
			return true
		}
	}
	return false
}

// unknown is lacks of a remote in force, or of nil. mu is held.
func (g *Gate) unknown(r *remote) bool {
	switch {
	case r == nil:
		return true
	case r.isControl() && g.control[Remote].Version > 0 || r.held.remake != nil:
		return false
	}
	return r.status.Failure == ""
}

// restore takes the documents into force that an earlier run has kept for the gate of this name, as far as nothing
// newer has come meanwhile. mu is held.
func (g *Gate) restore() {
	for _, r := range g.remotes {
		if r.kept != nil && g.unknown(r) {
			if err := g.reopen(r); err != nil {
				g.failed(r, "what an earlier run has kept: "+err.Error())
			}
		}
		r.kept = nil
	}
}

// reopen takes a document into force that an earlier run has kept. mu is held.
func (g *Gate) reopen(r *remote) error {
	text, written, err := r.kept()
	if err != nil {
		return err
	}
	if err := g.take(r, text); err != nil {
		return err
	}
	r.saved = digest(text)
	r.status.Good = written
	r.status.Kept = true
	return nil
}

// aead is AES-256-GCM under the SHA-256 of a secret.
func aead(secret []byte) (cipher.AEAD, error) {
	key := sha256.Sum256(append([]byte(sealMark), secret...))
	block, err := aes.NewCipher(key[:])
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// sealText encrypts a document for one file: under another name it does not open.
func sealText(secret []byte, name string, text []byte) ([]byte, error) {
	gcm, err := aead(secret)
	if err != nil {
		return nil, err
	}
	nonce := make([]byte, gcm.NonceSize())
	if _, err := rand.Read(nonce); err != nil {
		return nil, err
	}
	return gcm.Seal(append([]byte(sealMark), nonce...), nonce, text, []byte(filepath.Base(name))), nil
}

func openSealed(secret []byte, name string, sealed []byte) ([]byte, error) {
	gcm, err := aead(secret)
	if err != nil {
		return nil, err
	}
	begin := len(sealMark) + gcm.NonceSize()
	if len(sealed) < begin || string(sealed[:len(sealMark)]) != sealMark {
		return nil, errors.New("is not sealed; delete it")
	}
	text, err := gcm.Open(nil, sealed[len(sealMark):begin], sealed[begin:], []byte(filepath.Base(name)))
	if err != nil {
		return nil, errors.New("cannot be unsealed: control.seal has changed, or the file; delete it")
	}
	return text, nil
}
