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
	"time"

	"github.com/approovgate/approovgate/config"
	"github.com/approovgate/approovgate/source"
)

// sealMark begins a sealed document, and tells the format.
const sealMark = "approovgate-sealed-1\n"

// keptAt is the file in a folder that keeps a gate's document from a source.
func keptAt(folder, gate, name, identity string) string {
	sum := sha256.Sum256([]byte(gate + "\x00" + name + "\x00" + identity))
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

// saver is what keeps a good document for the next run; nil: nothing is to be kept. A ring holds secrets, and
// is kept sealed or not at all. What it returns is what went wrong, if anything.
func (r *remote) saver(text []byte) func() string {
	sealed := r.ring != nil && r.keyIndex >= 0
	if r.keep == "" || sealed && r.seal == nil {
		return nil
	}
	path, seal := r.keep, r.seal
	return func() string {
		var err error
		if sealed {
			text, err = sealText(seal(), path, text)
		}
		if err == nil {
			err = source.Write(path, text)
		}
		if err != nil {
			return err.Error()
		}
		return ""
	}
}

// readKept reads what an earlier run has kept; nil: nothing. The text stays in the function.
func (r *remote) readKept() func() ([]byte, time.Time, error) {
	info, err := os.Stat(r.keep)
	sealed := r.ring != nil && r.keyIndex >= 0
	if err != nil || sealed && r.seal == nil {
		return nil
	}
	text, _, err := source.Read("file:" + r.keep)
	if err == nil && sealed {
		text, err = openSealed(r.seal(), r.keep, text)
	}
	return func() ([]byte, time.Time, error) { return text, info.ModTime(), err }
}

// restore takes the document that an earlier run has kept for the gate of this name, if there is one, it is
// still good, and none has come since. mu is held.
func (g *Gate) restore(r *remote, name string) {
	if r.kept == nil || !r.status.Good.IsZero() || r.status.Failure != "" {
		return
	}
	text, written, err := r.kept()
	if err == nil && r.keyIndex < 0 {
		err = g.takeControl(r, string(text))
	} else if err == nil {
		if r.remake, r.version, err = r.read(text, name, g.o.Now()); err == nil {
			r.entry, err = r.remake(r.key)
		}
	}
	if err != nil {
		r.remake = nil
		r.entry = entry{}
		r.version = 0
		r.status.Failure = "what an earlier run has kept: " + err.Error()
		return
	}
	r.status.Good, r.status.Kept = written, true
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
