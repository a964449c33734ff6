package h1

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestNobodyGetsAnothersAnswer: many requests at once, of which some are cancelled or left unread at any
// moment, through an upstream that answers in all ways and closes and chatters as it likes. Every answer
// carries what its request asked for.
func TestNobodyGetsAnothersAnswer(t *testing.T) {
	watchLeaks(t)
	u := newUpstream(t, "tcp", func(p *peer) {
		for {
			head := p.request()
			if head == "" {
				return
			}
			_, rest, _ := strings.Cut(head, "/")
			id, _, _ := strings.Cut(rest, " ")
			switch rand.IntN(8) {
			case 0:
				p.write("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + id)
				return
			case 1:
				fmt.Fprintf(p, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s", len(id), id)
				p.write("\r\n0\r\n\r\n")
			case 2: // unsolicited; as it comes with the answer it is always seen
				fmt.Fprintf(p, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s%s", len(id), id, hello)
			case 3:
				fmt.Fprintf(p, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", len(id))
				p.write(id)
				return // an idle connection ends
			default:
				fmt.Fprintf(p, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(id), id)
			}
		}
	})
	tr := transport(t, u)
	var wait sync.WaitGroup
	for crowd := range 16 {
		wait.Go(func() { // ends with its requests
			for i := range 100 {
				id := fmt.Sprintf("request-%d-of-%d", i, crowd)
				if err := askFor(t, tr, id); err != nil {
					t.Errorf("%s: %v", id, err)
				}
			}
		})
	}
	wait.Wait()
}

// askFor sends one request of the crowd; an error is one that must not be.
func askFor(t *testing.T, tr *Transport, id string) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	hasty := rand.IntN(4) == 0
	if hasty {
		after := time.AfterFunc(time.Duration(rand.IntN(300))*time.Microsecond, cancel)
		defer after.Stop()
	}
	req := newRequest(t, "GET", nil).WithContext(ctx)
	req.URL.Path = "/" + id
	response, err := tr.RoundTrip(req)
	if err != nil {
		if hasty && errors.Is(err, context.Canceled) {
			return nil
		}
		return err
	}
	defer response.Body.Close()
	if rand.IntN(8) == 0 {
		return nil // unread
	}
	body, err := io.ReadAll(response.Body)
	if err != nil && !(hasty && errors.Is(err, context.Canceled)) {
		return err
	}
	if err == nil && string(body) != id {
		return fmt.Errorf("got the answer %q", body)
	}
	return nil
}
