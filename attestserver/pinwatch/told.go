package pinwatch

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"time"

	"github.com/approovgate/approovgate/attestapi"
	"github.com/approovgate/approovgate/source"
)

const (
	// A problem that was told is told again after a restart, but not within this time: a service that is started again
	// and again does not repeat itself each time.
	againAfter = time.Hour
	maxToldAll = 32 << 20 // bytes of the file
)

// told is what the webhook's receiver has taken of a domain last.
type told struct {
	State string    `json:"state,omitempty"`
	Leaf  string    `json:"leaf,omitempty"`
	At    time.Time `json:"at,omitzero"`
	Ends  []int64   `json:"ends,omitempty"` // of certificates, as Unix time; at most maxSeen
}

// take notes a message that was taken at a time.
func (o *told) take(m attestapi.PinMessage, at time.Time) {
	if m.Event != attestapi.PinsExpiring {
		o.State, o.Leaf, o.At = m.State, m.Leaf, at.UTC()
		return
	}
	if o.Ends = append(o.Ends, m.Expires.Unix()); len(o.Ends) > maxSeen {
		o.Ends = slices.Clone(o.Ends[1:])
	}
}

// repeats reports whether a message of the first look after a start says what was told before it.
func (o *told) repeats(m attestapi.PinMessage, now time.Time) bool {
	if m.Event == attestapi.PinsExpiring {
		return slices.Contains(o.Ends, m.Expires.Unix())
	}
	since := now.Sub(o.At)
	return m.Previous == attestapi.PinsUnknown && m.State == o.State && m.Leaf == o.Leaf && since >= 0 && since < againAfter
}

// toSend is which messages of a look are to be sent, besides being logged: none that repeats what was told before a
// restart, and again what the receiver should know and did not take, such as a problem while it was down, or the end
// of one while the service was.
func (x *watched) toSend(now time.Time, messages []attestapi.PinMessage) (send []attestapi.PinMessage) {
	for _, m := range messages {
		if !x.told.repeats(m, now) {
			send = append(send, m)
		}
	}
	if len(send) == 0 && x.sending == 0 {
		send = x.owed(now)
	}
	x.sending += len(send)
	return send
}

// owed is what the receiver should know and does not.
func (x *watched) owed(now time.Time) (owed []attestapi.PinMessage) {
	before := attestapi.PinStatus{State: attestapi.PinsUnknown}
	if x.told.State != "" {
		before.State, before.Leaf = x.told.State, x.told.Leaf
	}
	switch s := x.status; {
	case s.State == attestapi.PinsUnknown:
	case !well(s.State) && s.State != x.told.State:
		owed = append(owed, x.message(attestapi.PinsProblem, before))
	case well(s.State) && x.told.State != "" && !well(x.told.State):
		owed = append(owed, x.message(attestapi.PinsRecovered, before))
	}
	if end := x.status.Expires; x.warned[end.Unix()] && end.After(now) && !slices.Contains(x.told.Ends, end.Unix()) {
		owed = append(owed, x.message(attestapi.PinsExpiring, before))
	}
	return owed
}

// sent notes how sending a message ended. The sender calls it, for one message after another.
func (w *Watcher) sent(m attestapi.PinMessage, taken bool) {
	w.mu.Lock()
	x := w.watched[key{m.Account, m.Domain}]
	if x == nil {
		w.mu.Unlock()
		return
	}
	x.sending--
	if !taken {
		w.mu.Unlock()
		return
	}
	x.told.take(m, w.o.Now())
	file := w.file()
	w.mu.Unlock()
	w.save(file)
}

// toldFile is the file that keeps over a restart what the receiver has taken.
type toldFile struct {
	Receiver string                     `json:"receiver"` // SHA-256 of its URL: another one knows nothing yet
	Told     map[string]map[string]told `json:"told"`     // by account and domain
}

func (w *Watcher) receiver() string {
	sum := sha256.Sum256([]byte(w.o.Webhook.url.String()))
	return hex.EncodeToString(sum[:])
}

// file is what is to be kept. w.mu is held.
func (w *Watcher) file() toldFile {
	f := toldFile{Receiver: w.receiver(), Told: map[string]map[string]told{}}
	for k, x := range w.watched {
		if x.told.State == "" && len(x.told.Ends) == 0 {
			continue
		}
		if f.Told[k.account] == nil {
			f.Told[k.account] = map[string]told{}
		}
		one := x.told
		one.Ends = slices.Clone(one.Ends)
		f.Told[k.account][k.domain] = one
	}
	return f
}

// save writes the file. What cannot be written is told again after a restart, which is no more than a nuisance: it is
// logged once, until it works again.
func (w *Watcher) save(f toldFile) {
	if w.o.Told == "" {
		return
	}
	text, err := json.Marshal(f)
	if err == nil {
		err = source.Write(w.o.Told, append(text, '\n'))
	}
	if failed := err != nil; failed != w.unsaved.Swap(failed) && failed {
		w.o.Log.Error("what the webhook was told about pins cannot be kept; it is told again after a restart", "error", err.Error())
	}
}

// recall reads the file, if there is one of this receiver.
func (w *Watcher) recall() {
	if w.o.Told == "" || w.sender == nil {
		return
	}
	f, err := readTold(w.o.Told)
	if err != nil {
		w.o.Log.Warn("what the webhook was told about pins cannot be read; it is told again", "error", err.Error())
		return
	}
	if f.Receiver == w.receiver() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.recalled = f.Told
	}
}

func readTold(path string) (f toldFile, err error) {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return toldFile{}, nil
	} else if err != nil {
		return toldFile{}, err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxToldAll+1))
	if err == nil && len(text) > maxToldAll {
		err = fmt.Errorf("%s has more than %d bytes", path, maxToldAll)
	}
	if err != nil {
		return toldFile{}, err
	}
	if err := json.NewDecoder(bytes.NewReader(text)).Decode(&f); err != nil {
		return toldFile{}, fmt.Errorf("%s is not what the service has written: %w; delete it", path, err)
	}
	return f, nil
}
