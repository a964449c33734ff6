package tracing

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/approovgate/approovgate/internal/porttest"
)

func TestSpansOfManyGoroutinesAllArrive(t *testing.T) {
	const goroutines, each = 4, 100
	collector := newFake(t)
	tracer, told := newTracer(t, collector.URL, 1)
	var all sync.WaitGroup
	for range goroutines {
		all.Go(func() {
			for range each {
				serve(tracer, request("GET", "/", nil))
			}
		})
	}
	all.Wait()
	finish(t, tracer)
	if len(collector.spans) != goroutines*each || tracer.Dropped() != 0 || len(told.list()) != 0 {
		t.Errorf("got %d spans, %d dropped, %v, want %d", len(collector.spans), tracer.Dropped(), told.list(), goroutines*each)
	}
}

func TestABatchIsPostedAgainWhereThatMayHelp(t *testing.T) {
	for name, c := range map[string]struct {
		statuses []int
		calls    int
		arrived  bool
	}{
		"taken":                         {[]int{200}, 1, true},
		"too busy, then taken":          {[]int{429, 503, 200}, 3, true},
		"a gateway between, then taken": {[]int{502, 504, 200}, 3, true},
		"refused for good":              {[]int{400, 200}, 1, false},
		"not found":                     {[]int{404, 200}, 1, false},
		"a fault of the collector":      {[]int{500, 200}, 1, false},
		"a redirect is not followed":    {[]int{307, 200}, 1, false},
	} {
		collector := newFake(t, c.statuses...)
		tracer, told := newTracer(t, collector.URL, 1)
		serve(tracer, request("GET", "/", nil))
		finish(t, tracer)
		if arrived := len(collector.spans) == 1; collector.calls != c.calls || arrived != c.arrived {
			t.Errorf("%s: got %d calls, arrived %v, want %d, %v", name, collector.calls, arrived, c.calls, c.arrived)
		}
		errs := told.list()
		if (len(errs) == 0) != c.arrived || (tracer.Dropped() == 0) != c.arrived {
			t.Errorf("%s: got %v and %d dropped, want them only for what did not arrive", name, errs, tracer.Dropped())
		}
		for _, err := range errs {
			if strings.Contains(err.Error(), "has to say") || !strings.Contains(err.Error(), "status") {
				t.Errorf("%s: got %v, want the status and nothing of the answer", name, err)
			}
		}
	}
}

// hanging is a collector that answers only once it is released, at the latest when the test ends.
func hanging(t *testing.T) (endpoint string, asked <-chan struct{}, release func()) {
	first, end := make(chan struct{}, 1), make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case first <- struct{}{}:
		default:
		}
		_, _ = io.Copy(io.Discard, r.Body)
		<-end
	}))
	release = sync.OnceFunc(func() { close(end) })
	t.Cleanup(func() { release(); s.Close() })
	return s.URL, first, release
}

func TestAQueueThatWasFullTakesSpansAgain(t *testing.T) {
	endpoint, _, release := hanging(t)
	tracer, told := newTracer(t, endpoint, 1)
	const more = 10
	for range queueSpans + more {
		serve(tracer, request("GET", "/", nil))
	}
	release()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := tracer.spans.ForceFlush(ctx); err != nil {
		t.Fatal(err)
	}
	if got := tracer.spans.waiting.Load(); got != 0 {
		t.Errorf("after all were delivered: got %d spans waiting, want 0", got)
	}
	for range queueSpans {
		serve(tracer, request("GET", "/", nil))
	}
	finish(t, tracer)
	if got := tracer.Dropped(); got != more || len(told.list()) != 0 {
		t.Errorf("got %d dropped spans, %v, want %d", got, told.list(), more)
	}
}

func TestACollectorThatHangsCostsSpansAndNoTime(t *testing.T) {
	endpoint, asked, _ := hanging(t)
	tracer, told := newTracer(t, endpoint, 1)
	const more = 100
	for range queueSpans + more { // a span that waited for the collector would wait for 10 s
		serve(tracer, request("GET", "/", nil))
	}
	if got := tracer.Dropped(); got != more {
		t.Errorf("got %d dropped spans, want %d", got, more)
	}
	select {
	case <-asked:
	case <-time.After(patience):
		t.Fatal("the collector was never asked")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	start := time.Now()
	if err := tracer.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want %v", err, context.DeadlineExceeded)
	}
	if took := time.Since(start); took >= exportTimeout {
		t.Errorf("Shutdown took %v, want about 10 ms", took)
	}
	if got := tracer.Dropped(); got != queueSpans+more {
		t.Errorf("after Shutdown: got %d dropped spans, want all %d", got, queueSpans+more)
	}
	if len(told.list()) == 0 {
		t.Error("the owner was told nothing")
	}
	serve(tracer, request("GET", "/", nil)) // a late request
}

func TestShutdownThatHasNoTimeAtAllEndsEverythingToo(t *testing.T) {
	endpoint, _, _ := hanging(t)
	tracer, _ := newTracer(t, endpoint, 1)
	serve(tracer, request("GET", "/", nil))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := tracer.Shutdown(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
	if err := tracer.Shutdown(ctx); err != nil {
		t.Errorf("second Shutdown: got %v, want nothing", err)
	}
}

func TestACollectorThatIsNotThereIsTriedUntilTimeRunsOut(t *testing.T) {
	tracer, told := newTracer(t, "http://"+porttest.Free(t), 1)
	serve(tracer, request("GET", "/", nil))
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if err := tracer.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want %v", err, context.DeadlineExceeded)
	}
	if errs := told.list(); len(errs) != 1 || tracer.Dropped() != 1 {
		t.Errorf("got %v and %d dropped spans, want one error and 1", errs, tracer.Dropped())
	}
}
