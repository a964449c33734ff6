package proxy

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"github.com/approovgate/approovgate/config"
	"github.com/approovgate/approovgate/source"
)

// maxPEM bounds a file of certificates, in bytes.
const maxPEM = 1 << 20

// pair is a certificate with its key, as files that change while the process runs. The last pair that could
// be used stays in force.
type pair struct {
	cert, key string // paths
	live      atomic.Pointer[tls.Certificate]
	loaded    atomic.Int64      // when the pair in force was taken into force, Unix seconds
	content   [sha256.Size]byte // of both files when last read; only refresh touches it
}

// refresh reads both files and takes them into force if they have changed and fit. It returns problems
// under the paths of the two settings, and whether a new pair is in force.
func (p *pair) refresh(section string, now time.Time) (problems []config.Problem, changed bool) {
	chain, err := readPEM(p.cert)
	if err != nil {
		problems = append(problems, config.Problem{Path: section + ".cert", Text: err.Error()})
	}
	key, warnings, err := source.Read("file:" + p.key)
	if err != nil {
		problems = append(problems, config.Problem{Path: section + ".key", Text: err.Error()})
	}
	for _, warning := range warnings {
		problems = append(problems, config.Problem{Path: section + ".key", Text: warning, Warning: true})
	}
	if config.Failed(problems) {
		return problems, false
	}
	content := sha256.Sum256(slices.Concat(chain, []byte{0}, key))
	if p.live.Load() == nil || content != p.content {
		// Its errors name kinds of blocks and keys, never what is in them.
		parsed, err := tls.X509KeyPair(chain, key)
		if err != nil {
			return append(problems, config.Problem{Path: section, Text: "is no usable pair of certificate and key: " + err.Error()}), false
		}
		p.content = content
		p.live.Store(&parsed)
		p.loaded.Store(now.Unix())
		changed = true
	}
	if end := p.live.Load().Leaf.NotAfter; !now.Before(end) {
		problems = append(problems, config.Problem{Path: section + ".cert", Warning: true,
			Text: "has expired on " + end.UTC().Format(time.RFC3339) + "; renew it"})
	}
	return problems, changed
}

// readPEM reads a file that is no secret.
func readPEM(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("cannot be read: %w; check its path and permissions", pathless(err))
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxPEM+1))
	if err != nil {
		return nil, fmt.Errorf("cannot be read: %w", pathless(err))
	}
	if len(text) > maxPEM {
		return nil, fmt.Errorf("has more than %d bytes", maxPEM)
	}
	return text, nil
}

// pathless is an error of package os without the path, which stands beside it already.
func pathless(err error) error {
	var at *os.PathError
	if errors.As(err, &at) {
		return at.Err
	}
	return err
}

// readAuthorities reads the certificates of authorities.
func readAuthorities(path string) (*x509.CertPool, []byte, error) {
	text, err := readPEM(path)
	if err != nil {
		return nil, nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, nil, errors.New("holds no certificate in PEM")
	}
	return pool, text, nil
}

// serverTLS is how listeners speak TLS.
func (p *Proxy) serverTLS() *tls.Config {
	c := &tls.Config{
		Time:       p.Now,
		MinVersion: tls.VersionTLS12,
		NextProtos: []string{"h2", "http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return p.certificate.live.Load(), nil
		},
	}
	if p.config.TLS.Only13 {
		c.MinVersion = tls.VersionTLS13
	}
	return c
}
