package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"sync"
	"time"

	"github.com/approovgate/approovgate/config"
	"github.com/approovgate/approovgate/proxy"
)

// loopback is where everything listens, on ports that the system chooses.
const loopback = "127.0.0.1:0"

// bare is the role of the yardstick: what a careful author writes with httputil.ReverseProxy, a transport of
// net/http whose pool fits the load, and a pool of copy buffers. The limits are those of package proxy, as far as
// net/http has them, and must be changed together with those. How the gate reaches its upstream is no concern
// of this one.
func bare(ctx context.Context, args []string, _ io.Reader, ready func(string)) error {
	target, err := url.Parse("http://" + args[0])
	if err != nil {
		return err
	}
	forward := &httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) {
			p.SetURL(target)
			p.Out.Host = p.In.Host
			p.SetXForwarded()
		},
		Transport: &http.Transport{
			DialContext:            (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
			TLSHandshakeTimeout:    10 * time.Second,
			ResponseHeaderTimeout:  60 * time.Second,
			ExpectContinueTimeout:  1 * time.Second,
			IdleConnTimeout:        90 * time.Second,
			MaxIdleConnsPerHost:    1024,
			MaxResponseHeaderBytes: 1 << 20,
			DisableCompression:     true,
			ForceAttemptHTTP2:      true,
		},
		BufferPool: new(buffers),
		ErrorLog:   log.New(io.Discard, "", 0), // what goes wrong shows in the statuses
	}
	server := &http.Server{
		Handler:                      forward,
		ReadHeaderTimeout:            10 * time.Second,
		IdleTimeout:                  120 * time.Second,
		MaxHeaderBytes:               32 << 10,
		DisableGeneralOptionsHandler: true,
		ErrorLog:                     log.New(io.Discard, "", 0),
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", loopback)
	if err != nil {
		return err
	}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	ready(l.Addr().String())
	return server.Serve(l)
}

// buffers lends copy buffers. The zero value is ready.
type buffers struct{ pool sync.Pool }

const copyBuffer = 32 << 10 // bytes

func (b *buffers) Get() []byte {
	if buf, ok := b.pool.Get().(*[copyBuffer]byte); ok {
		return buf[:]
	}
	return make([]byte, copyBuffer)
}

func (b *buffers) Put(buf []byte) { b.pool.Put((*[copyBuffer]byte)(buf)) }

// gated is the role of the gate: package proxy as it ships, with a log that goes nowhere but is written.
func gated(ctx context.Context, args []string, _ io.Reader, ready func(string)) error {
	nowhere, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer nowhere.Close()
	p := &proxy.Proxy{
		Tree: map[string]any{
			"listen": loopback, "upstream": "http://" + args[0], "log": map[string]any{"level": args[1]},
			"policy": policy(),
		},
		Ready: func(a proxy.Addresses) { ready(a.Listen[0].String()) },
	}
	if problems := p.Load(); config.Failed(problems) {
		return errors.New(fmt.Sprint("the gate's policy: ", problems))
	}
	p.Log = proxy.NewLogger(nowhere, p.Config().Log)
	return p.Run(ctx)
}

// policy binds the measured route's tokens to Authorization; another route stands before it.
func policy() map[string]any {
	return map[string]any{
		"keys": []any{map[string]any{"name": "account", "alg": "HS256", "secret": "inline:" + secret, "encoding": "raw"}},
		"routes": []any{
			map[string]any{"name": "health", "paths": []any{"/health"}, "check": "none"},
			map[string]any{"name": "api", "hosts": []any{"api.example.com"}, "paths": []any{"/v1/**"},
				"binding": map[string]any{"from": []any{"header:Authorization"}}},
		},
	}
}
