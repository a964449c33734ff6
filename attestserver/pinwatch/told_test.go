package pinwatch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/approovgate/approovgate/attestapi"
)

// handler answers requests without a network, so that no time passes.
type handler func(context.Context, attestapi.PinMessage) (status int)

func (h handler) RoundTrip(r *http.Request) (*http.Response, error) {
	var m attestapi.PinMessage
	if err := json.NewDecoder(r.Body).Decode(&m); err != nil {
		return nil, err
	}
	status := h(r.Context(), m)
	if status == 0 {
		return nil, errors.New("connection refused")
	}
	return &http.Response{StatusCode: status, Body: http.NoBody, Request: r}, nil
}

// town is a monitor of one domain, a.example with the pin A, with a receiver that takes what it gets while it is up.
type town struct {
	f    *fleet
	of   *accounts
	log  *lockedBuffer
	file string
	up   bool
	got  []string // event, state and the state before of what was taken
}

// run has the monitor run for a time, from a start to an end.
func (o *town) run(t *testing.T, lasts time.Duration) (got string) {
	t.Helper()
	hook := must(NewWebhook("https://hooks.example/x", nil, nil))
	w := must(New(Options{Accounts: o.of.now, Look: o.f.look, Every: 10 * time.Minute, Rand: fixed(0), Log: o.log.logger(), Webhook: hook, Told: o.file}))
	w.sender.client.Transport = handler(func(_ context.Context, m attestapi.PinMessage) int {
		if !o.up {
			return 0
		}
		o.got = append(o.got, m.Event+" "+m.State+" "+m.Previous)
		return http.StatusOK
	})
	ctx, cancel := context.WithTimeout(t.Context(), lasts)
	defer cancel()
	w.Run(ctx)
	got, o.got = strings.Join(o.got, ", "), nil
	return got
}

// R209: what the receiver is told over restarts, outages of its own, and files that are not what they should be.
func TestWhatIsToldAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &town{f: newFleet(), of: &accounts{}, log: &lockedBuffer{}, file: filepath.Join(t.TempDir(), "told.json"), up: true}
		o.of.set("acme", pinned("a.example", "A"))
		step := func(what string, lasts time.Duration, want string) {
			t.Helper()
			if got := o.run(t, lasts); got != want {
				t.Errorf("%s: got %q, want %q\n%s", what, got, want, o.log)
			}
		}
		o.f.set("a.example", "A")
		step("all is well", time.Hour, "")
		o.f.set("a.example", "B")
		step("it is wrong", time.Minute, "problem mismatched unknown")
		for range 20 {
			step("started again and again", 2*time.Second, "")
		}
		step("it runs for hours", 3*time.Hour, "")
		step("started again after hours", time.Hour, "problem mismatched unknown")
		o.f.set("a.example", "C")
		step("another key meanwhile", time.Hour, "problem mismatched unknown")
		o.f.set("a.example", "A")
		step("it was set right while nobody looked", time.Hour, "recovered matched mismatched")
		step("and that is known", time.Hour, "")

		o.up = false
		o.f.set("a.example", "B")
		step("the receiver is down", time.Hour, "")
		o.f.set("a.example", "A")
		step("nobody was told of a problem that is over", time.Hour, "")
		o.f.set("a.example", "B")
		step("the receiver is down, and the service ends", 2*time.Second, "")
		o.up = true
		step("the receiver is back", time.Hour, "problem mismatched unknown")
		o.up = false
		o.f.set("a.example", "A")
		step("the receiver is down again", time.Hour, "")
		o.up = true
		step("it is back, and there was an end to a problem", time.Hour, "recovered matched mismatched")

		o.f.set("a.example", "B")
		step("it is wrong once more", time.Minute, "problem mismatched unknown")
		if err := os.WriteFile(o.file, []byte("{"), 0o600); err != nil {
			t.Fatal(err)
		}
		step("the file is broken", time.Minute, "problem mismatched unknown")
		step("and has been written anew", time.Minute, "")
		if err := os.WriteFile(o.file, fmt.Appendf(nil, `{"receiver":%q,"told":{"acme":{"a.example":{"state":"mismatched","leaf":"B"}}}}`, "another"), 0o600); err != nil {
			t.Fatal(err)
		}
		step("the file is of another receiver", time.Minute, "problem mismatched unknown")
		o.file = filepath.Join(o.file, "below a file")
		step("the file can be neither read nor written", time.Minute, "problem mismatched unknown")
		if got := strings.Count(o.log.String(), "cannot be kept"); got != 1 {
			t.Errorf("got %d lines that the file cannot be written, want 1\n%s", got, o.log)
		}
	})
}

// While the service runs, a receiver that was down for longer than a message is tried is told at the next look.
func TestAReceiverThatWasDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &town{f: newFleet(), of: &accounts{}, log: &lockedBuffer{}}
		o.of.set("acme", pinned("a.example", "A"))
		o.f.set("a.example", "B")
		began := time.Now()
		time.AfterFunc(25*time.Minute, func() { o.up = true })
		if got, want := o.run(t, 65*time.Minute), "problem mismatched unknown"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		if got := strings.Count(o.log.String(), "pins: problem"); got != 1 {
			t.Errorf("got %d lines for a problem, want 1 after %v\n%s", got, time.Since(began), o.log)
		}
	})
}

// A certificate that ends soon is told of once, over restarts too, unless that was lost.
func TestACertificateThatEndsSoonIsToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &town{f: newFleet(), of: &accounts{}, log: &lockedBuffer{}, file: filepath.Join(t.TempDir(), "told.json")}
		o.of.set("acme", pinned("a.example", "A"))
		o.f.chains["a.example"] = chainOf(time.Now().AddDate(0, 0, 10), "A")
		for i, want := range []string{"", "expiring matched unknown", "", ""} {
			if got := o.run(t, 15*time.Minute); got != want {
				t.Errorf("start %d: got %q, want %q", i, got, want)
			}
			o.up = true
		}
	})
}

// What waits when the service ends is tried once more, each message, and the next one too when one is refused.
func TestTheLastMessages(t *testing.T) {
	slow := func(ctx context.Context, _ attestapi.PinMessage) int {
		select {
		case <-ctx.Done():
			return 0
		case <-time.After(4 * time.Second):
			return http.StatusOK
		}
	}
	synctest.Test(t, func(t *testing.T) {
		for _, row := range []struct {
			name   string
			answer handler
			took   time.Duration
			lost   float64
		}{
			{"it takes them", func(context.Context, attestapi.PinMessage) int { return http.StatusOK }, 0, 0},
			{"it is down", func(context.Context, attestapi.PinMessage) int { return 0 }, 0, 3},
			{"it takes its time", slow, 12 * time.Second, 1},
		} {
			s := newSender(must(NewWebhook("https://hooks.example/x", nil, nil)), (&lockedBuffer{}).logger(), prometheus.NewCounterVec(prometheus.CounterOpts{Name: "x"}, []string{"result"}))
			s.client.Transport = row.answer
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			for i := range 3 {
				s.offer(attestapi.PinMessage{ID: fmt.Sprint(i), Account: "acme"})
			}
			s.close()
			began := time.Now()
			s.run(ctx)
			if took, lost := time.Since(began), (&sending{sender: s}).count("lost"); took != min(row.took, lastTime) || lost != row.lost {
				t.Errorf("%s: got %v lost after %v, want %v after %v", row.name, lost, took, row.lost, min(row.took, lastTime))
			}
		}
	})
}
