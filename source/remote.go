package source

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
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
	url      string
	client   *http.Client
	settings *tls.Config
	token    func() (string, error) // nil: none
}

// Authorities are the certificates in a text in PEM form.
func Authorities(text []byte) (*x509.CertPool, error) {
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, errors.New("holds no certificate in PEM form; name the authority's own file")
	}
	return pool, nil
}

// NewRemote makes a Remote. The server's certificate must be signed by one of authorities; nil: the system's.
// token is asked for a bearer token (RFC 6750 §2.1) before every request; nil: none is sent.
func NewRemote(address string, authorities *x509.CertPool, token func() (string, error)) (*Remote, error) {
	parsed, err := url.Parse(address)
	if err != nil || !strings.HasPrefix(address, "https://") || parsed.Hostname() == "" {
		return nil, errors.New("is not a URL such as https://control.example.com/documents/edge")
	}
	settings := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: authorities}
	transport := &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		TLSClientConfig:        settings,
		DisableCompression:     true, // so that what is counted is what arrives
		MaxIdleConns:           1,
		IdleConnTimeout:        idleFetch,
		MaxResponseHeaderBytes: maxResponseHeader,
	}
	stay := func(_ *http.Request, _ []*http.Request) error { return http.ErrUseLastResponse }
	return &Remote{url: address, client: &http.Client{Transport: transport, CheckRedirect: stay}, settings: settings, token: token}, nil
}

// JudgeBy makes now the clock that the server's certificate is judged by, in place of time.Now. It must be called
// before the first Fetch.
func (r *Remote) JudgeBy(now func() time.Time) { r.settings.Time = now }

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
		return Fetched{}, errors.New("the URL is not valid") // NewRemote has seen to it
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
	if err == nil {
		err = ctx.Err() // a server that sees us give up may end its answer properly
	}
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
	case status == http.StatusNotModified:
		return ", although no tag was sent"
	case status >= 300 && status < 400:
		return "; redirects are not followed: name the final URL"
	}
	return ""
}

// fetchFailed is why there was no answer. It repeats neither the URL nor what the server sent, which may hold
// what no log should, nor what differs each time: a failure that lasts reads the same.
func fetchFailed(ctx context.Context, err error) error {
	if ctx.Err() == context.DeadlineExceeded {
		return fmt.Errorf("no complete answer within %v", FetchTimeout)
	}
	text := ""
	for inner := err; inner != nil && text == ""; inner = errors.Unwrap(inner) {
		text = plainly(inner)
	}
	if text == "" {
		if at, ok := err.(*url.Error); ok {
			err = at.Err
		}
		text = strings.TrimRight(strings.SplitN(err.Error(), `"`, 2)[0], " :") // from there on it is the server's
	}
	return errors.New("no answer: " + text)
}

// plainly says what the errors mean that are met most; empty: it is none of them.
func plainly(err error) string {
	switch at := err.(type) {
	case *net.DNSError:
		return "the name " + at.Name + " cannot be resolved"
	case *net.OpError:
		if _, ok := at.Err.(*net.DNSError); !ok {
			shared := *at
			shared.Source = nil // our port, another one each time
			return shared.Error()
		}
	case x509.UnknownAuthorityError:
		return "its certificate is signed by an authority that is not trusted; name its authority in ca"
	case x509.CertificateInvalidError:
		if at.Reason == x509.Expired {
			return "its certificate has expired or is not valid yet; renew it, or set the clock"
		}
	}
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return "the connection was cut"
	}
	return ""
}
