package source

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// FetchTimeout bounds one request for a remote document, from the first byte of the handshake to the last of
// the body.
const FetchTimeout = 5 * time.Second

const (
	maxResponseHeader = 16 * 1024 // bytes
	maxTag            = 256       // bytes of an entity tag; longer ones are not sent back
	idleFetch         = 3 * time.Minute
)

// Remote is a document behind an https:// URL. It is safe for concurrent use and keeps a connection open
// between requests: see Close.
type Remote struct {
	url    string
	client *http.Client
	token  func() (string, error) // nil: none
}

// NewRemote makes a Remote. authorities are the certificates in PEM form that the server's must be signed by;
// nil: the system's. token is asked for a bearer token (RFC 6750 §2.1) before every request; nil: none is sent.
func NewRemote(url string, authorities []byte, token func() (string, error)) (*Remote, error) {
	if !strings.HasPrefix(url, "https://") {
		return nil, errors.New("the URL must begin with https://")
	}
	settings := &tls.Config{MinVersion: tls.VersionTLS12}
	if authorities != nil {
		settings.RootCAs = x509.NewCertPool()
		if !settings.RootCAs.AppendCertsFromPEM(authorities) {
			return nil, errors.New("holds no certificate in PEM form; name the authority's own file")
		}
	}
	transport := &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		TLSClientConfig:        settings,
		DisableCompression:     true, // so that what is counted is what arrives
		MaxIdleConns:           1,
		IdleConnTimeout:        idleFetch,
		MaxResponseHeaderBytes: maxResponseHeader,
	}
	stay := func(_ *http.Request, _ []*http.Request) error { return http.ErrUseLastResponse }
	return &Remote{url: url, client: &http.Client{Transport: transport, CheckRedirect: stay}, token: token}, nil
}

// Close ends the connection that is kept open.
func (r *Remote) Close() { r.client.CloseIdleConnections() }

// Fetched is what a request for a document brought.
type Fetched struct {
	Text      []byte // the document; nil when Unchanged
	Tag       string // its entity tag (RFC 9110 §8.8.3), for the next request; empty: none
	Unchanged bool   // it is still the one that the tag asked about
}

// Fetch asks for the document, at most MaxSize bytes, within FetchTimeout. tag is that of the last good one;
// empty: there is none. Redirects are not followed. An error says what the server did and never holds a token.
func (r *Remote) Fetch(ctx context.Context, tag string) (Fetched, error) {
	ctx, cancel := context.WithTimeout(ctx, FetchTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url, nil)
	if err != nil {
		return Fetched{}, errors.New("the URL is not valid")
	}
	if r.token != nil {
		token, err := r.token()
		if err != nil {
			return Fetched{}, err
		}
		request.Header.Set("Authorization", "Bearer "+token)
	}
	if tag != "" {
		request.Header.Set("If-None-Match", tag)
	}
	response, err := r.client.Do(request)
	if err != nil {
		return Fetched{}, fetchFailed(ctx, err)
	}
	defer response.Body.Close()
	if response.StatusCode == http.StatusNotModified && tag != "" {
		return Fetched{Tag: tag, Unchanged: true}, nil
	}
	if response.StatusCode != http.StatusOK {
		return Fetched{}, fmt.Errorf("the server answers %d%s", response.StatusCode, fetchHint(response.StatusCode))
	}
	text, err := io.ReadAll(io.LimitReader(response.Body, MaxSize+1))
	if err != nil {
		return Fetched{}, fetchFailed(ctx, err)
	}
	if len(text) > MaxSize {
		return Fetched{}, fmt.Errorf("the document has more than %d bytes; is it the right URL?", MaxSize)
	}
	fresh := response.Header.Get("ETag")
	if len(fresh) > maxTag {
		fresh = ""
	}
	return Fetched{Text: text, Tag: fresh}, nil
}

// fetchHint is what an operator should look at.
func fetchHint(status int) string {
	switch {
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return "; is the bearer token right?"
	case status == http.StatusNotFound:
		return "; is the path right?"
	case status >= 300 && status < 400:
		return "; redirects are not followed: name the final URL"
	}
	return ""
}

// fetchFailed is why there was no answer, without the URL, which may hold what no log should.
func fetchFailed(ctx context.Context, err error) error {
	if ctx.Err() == context.DeadlineExceeded {
		return fmt.Errorf("no complete answer within %v", FetchTimeout)
	}
	if at, ok := err.(*url.Error); ok {
		err = at.Err
	}
	return errors.New("no answer: " + err.Error())
}
