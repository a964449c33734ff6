//go:build linux

package reliability

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// adminClient talks to the admin socket at a path.
func adminClient(t *testing.T, path string) *http.Client {
	t.Helper()
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: patience}
}

// killable is a gate that is killed while its control file and its ring are written, and what was asked of it.
type killable struct {
	*sidecar
	plane *plane
	admin *http.Client
	dir   string

	sent, acknowledged atomic.Int64 // numbers of documents; a document's reason is its number
	published          atomic.Int64 // version of the ring: its keys are generations version and version-1
	least              int64        // version of the ring that was in force after the last kill
}

// publish puts a ring of the next version into its place.
func (k *killable) publish(t *testing.T) {
	t.Helper()
	version := int(k.published.Load()) + 1
	k.plane.publish(ringPath, k.plane.issuer.ring(t, version, member{name: "new", secret: generation(version)}, member{name: "old", secret: generation(version - 1)}))
	k.published.Store(int64(version))
}

// change asks for one override after the other until the gate has gone.
func (k *killable) change() {
	for {
		number := k.sent.Add(1)
		text := fmt.Sprintf(`{"routes":{"transfers":"bypass"},"for":"1h","reason":"%d","by":"test"}`, number)
		request, err := http.NewRequest(http.MethodPut, "http://approovgate/control", strings.NewReader(text))
		if err != nil {
			panic(err) // the address is right
		}
		request.Header.Set("Content-Type", "application/json")
		a := send(k.admin, request)
		if a.err != nil {
			return
		}
		if a.status == http.StatusOK && !strings.Contains(a.body, "warnings") {
			k.acknowledged.Store(number)
		}
	}
}

// life has documents of both kinds written, and kills the gate at some moment.
func (k *killable) life(t *testing.T) {
	t.Helper()
	moment := time.NewTimer(rand.N(700 * time.Millisecond))
	pace := time.NewTicker(40 * time.Millisecond)
	defer pace.Stop()
	var all sync.WaitGroup // ended by the gate's end
	all.Go(k.change)
	for over := false; !over; {
		select {
		case <-moment.C:
			over = true
		case <-pace.C:
			k.publish(t)
			k.signal(t, reload) // it asks at once
		}
	}
	k.signal(t, killed)
	<-k.ended
	all.Wait()
}

// TestAKilledGateKnowsTheOldDocumentOrTheNew kills the process at random moments while the admin interface writes the
// control file and fetched rings are kept, and starts it again with its source failing. It must serve, with a control
// document that is the last acknowledged one or was under way, and a ring that is whole and not older than the last.
func TestAKilledGateKnowsTheOldDocumentOrTheNew(t *testing.T) {
	t.Parallel()
	p, dir, backend := newPlane(t), t.TempDir(), newAPI(t, 0, 0)
	p.publish(controlPath, p.issuer.control(t, 1, nil))
	socket := filepath.Join(dir, "admin.sock")
	text := strings.Replace(sourcesPolicy(t, p, dir, true), "control: {", "control: {file: control.json, ", 1)
	file := gateFile{upstream: backend.url, policy: text, more: []string{"admin: unix:" + socket, "log: {sample: 1}"}}.write(t, dir)
	k := &killable{plane: p, dir: dir, admin: adminClient(t, socket)}
	k.publish(t)
	k.sidecar = start(t, file)
	turns := rounds(6, 200)
	for range turns {
		p.fail(healthy)
		k.life(t)
		p.fail(broken)
		k.sidecar = start(t, file)
		k.judge(t)
	}
	left := 0
	for _, folder := range []string{dir, filepath.Join(dir, "kept")} {
		names, err := filepath.Glob(filepath.Join(folder, ".approovgate-*"))
		if err != nil {
			t.Fatal(err)
		}
		left += len(names)
	}
	t.Logf("%d kills while %d control documents and %d rings were written: each time the last acknowledged document or the one under way was in force, and a whole ring; %d temporary files were left",
		turns, k.sent.Load(), k.published.Load(), left)
}

// judge demands that what is in force was asked for, and is no older than what was promised.
func (k *killable) judge(t *testing.T) {
	t.Helper()
	client, url := newClient(t, 1, false), "http://"+k.listen
	k.plain(t, client, url)

	var control struct {
		Local struct {
			Reason  string `json:"reason"`
			InForce bool   `json:"in_force"`
		} `json:"local"`
	}
	response, err := k.admin.Get("http://approovgate/control")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }() // read to its end
	body, err := io.ReadAll(response.Body)
	if err == nil {
		err = json.Unmarshal(body, &control)
	}
	var number int64
	if control.Local.Reason != "" {
		_, _ = fmt.Sscan(control.Local.Reason, &number) // 0, if it is no number
	}
	if err != nil || number < k.acknowledged.Load() || number > k.sent.Load() {
		t.Errorf("control after a kill: got %s (%v), want document %d to %d", body, err, k.acknowledged.Load(), k.sent.Load())
	}
	if want := http.StatusOK; number > 0 && get(client, url+"/transfers/7", "").status != want {
		t.Errorf("a request without a token while the override lasts: got no %d", want)
	}

	var accepted []int64
	for version := max(0, k.least-1); version <= k.published.Load(); version++ {
		if get(client, url, token(t, generation(int(version)))).status == http.StatusOK {
			accepted = append(accepted, version)
		}
	}
	if len(accepted) != 2 || accepted[1] != accepted[0]+1 || accepted[1] < k.least {
		t.Errorf("keys of the ring after a kill: got generations %v, want two in a row, the second not before %d", accepted, k.least)
		return
	}
	k.least = accepted[1]
}

// plain demands what holds whatever control and ring say.
func (k *killable) plain(t *testing.T, client *http.Client, url string) {
	t.Helper()
	if probe := k.probe("/ready"); probe != isReady {
		t.Errorf("/ready: got %q, want %q", probe, isReady)
	}
	if a := get(client, url, token(t, keyA)); a.status != http.StatusOK {
		t.Errorf("a genuine token: got %d, %v; want 200", a.status, a.err)
	}
	if a := refused(client, url, token(t, keyB)); a.status != http.StatusUnauthorized {
		t.Errorf("a forged token: got %d, %v; want 401", a.status, a.err)
	}
	if line := k.log.find("an earlier run"); line != "" {
		t.Errorf("got %s, want what was kept to be good", line)
	}
	if k.sent.Load() > 1 && k.metric(t, controlUp) == 0 && k.acknowledged.Load() > 0 {
		t.Errorf("%s is 0, want a control file that can be read", controlUp)
	}
}
