package e2e_test

import (
	"context"
	_ "embed"
	"errors"
	"io"
	"net/http"
	"testing"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

//go:embed testdata/page.js
var pageScript string

// servePage answers the page that the tests run in. Its address is exempt from checks, as an app's first page is.
func servePage(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = io.WriteString(w, "<!doctype html><title>test</title><script>\n"+pageScript+"</script>") // a browser that is gone needs none
}

// browser is a headless Chromium.
type browser struct{ ctx context.Context }

// startBrowser starts one with a new profile, which speaks to nobody but the gate.
func startBrowser(t *testing.T) *browser {
	t.Helper()
	options := []chromedp.ExecAllocatorOption{
		chromedp.ExecPath(program(t, "chromium", "chromium")), chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun,
		chromedp.NoDefaultBrowserCheck, chromedp.IgnoreCertErrors,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true), chromedp.Flag("no-proxy-server", true), chromedp.Flag("disable-dev-shm-usage", true),
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"),
	}
	ctx, cancelAll := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(cancelAll)
	ctx, cancel := chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("chromium: %v", err)
	}
	return &browser{ctx}
}

// tab is one page of the gate's origin.
type tab struct {
	ctx    context.Context
	close  func()
	errors chan string // what the browser says of WebSockets that failed
}

// open shows the page. All its requests carry the token, as an app's own network code would add it, unless it is empty.
func (b *browser) open(t *testing.T, origin, token string) *tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(b.ctx)
	t.Cleanup(cancel)
	page := &tab{ctx: ctx, close: cancel, errors: make(chan string, 16)}
	err := chromedp.Listen(ctx, func(event any) {
		if failure, ok := event.(*network.EventWebSocketFrameError); ok {
			page.errors <- failure.ErrorMessage
		}
	})
	if err != nil {
		t.Fatalf("chromium: %v", err)
	}
	headers := network.Headers{}
	if token != "" {
		headers["Approov-Token"] = token
	}
	limited, cancelLimit := context.WithTimeout(ctx, 3*patience)
	defer cancelLimit()
	_, enabled := chromedp.Call(limited, network.Enable, network.EnableParams{})
	_, set := chromedp.Call(limited, network.SetExtraHTTPHeaders, network.SetExtraHTTPHeadersParams{Headers: headers})
	if err := errors.Join(enabled, set, chromedp.Do(limited, chromedp.Navigate(origin+"/open/page"))); err != nil {
		t.Fatalf("chromium: %v", err)
	}
	return page
}

// call runs one of the page's functions and returns what its promise comes to.
func call[T any](t *testing.T, page *tab, expression string) T {
	t.Helper()
	ctx, cancel := context.WithTimeout(page.ctx, 3*patience)
	defer cancel()
	result, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		t.Fatalf("%s: %v", expression, err)
	}
	return result
}
