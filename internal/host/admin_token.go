package host

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/approovgate/approovgate/source"
)

// minToken is the fewest bytes that a bearer token for the admin interface may have.
const minToken = 16

// Token is a bearer token (RFC 6750) that stands in a file or an environment variable. It is read again for each
// request, so that a replaced one counts at once; one that cannot be used never replaces one that can. Only its
// digest is held. It is made by NewToken.
type Token struct {
	reference string

	mu      sync.Mutex        // guards the fields below
	digest  [sha256.Size]byte // of the last good one
	good    bool              // there is one
	problem string            // of the last reading; empty: none
}

// NewToken makes a token from what file:PATH or env:NAME leads to. See Refresh for whether it can be used.
func NewToken(reference string) *Token { return &Token{reference: reference} }

// Refresh reads the token. Warnings do not keep it from being used; with an error the last good one stays.
func (t *Token) Refresh() (warnings []string, err error) {
	text, warnings, err := source.Read(t.reference)
	word := strings.TrimRight(string(text), "\r\n")
	if err == nil {
		err = checkToken(word)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if err != nil {
		t.problem = err.Error()
		return nil, err
	}
	t.digest, t.good, t.problem = sha256.Sum256([]byte(word)), true, ""
	return warnings, nil
}

// checkToken says what keeps a text from being a token. It does not repeat it.
func checkToken(word string) error {
	for i := 0; i < len(word); i++ {
		if word[i] <= ' ' || word[i] > '~' {
			return errors.New("must be one word of printable ASCII on one line; write it again")
		}
	}
	if len(word) < minToken {
		return errors.New("has " + strconv.Itoa(len(word)) + " bytes, at least " + strconv.Itoa(minToken) + " are needed; make one with openssl rand -hex 32")
	}
	return nil
}

// Problem is what is wrong with the token as it was last read; empty: nothing.
func (t *Token) Problem() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.problem
}

// matches reports whether a request brings the token, in a time that does not depend on how much of it is right.
func (t *Token) matches(r *http.Request) bool {
	_, _ = t.Refresh() // what is wrong shows in Problem
	values := r.Header["Authorization"]
	if len(values) != 1 {
		return false
	}
	scheme, given, _ := strings.Cut(values[0], " ")
	sum := sha256.Sum256([]byte(strings.TrimLeft(given, " ")))
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.good && strings.EqualFold(scheme, "Bearer") && subtle.ConstantTimeCompare(sum[:], t.digest[:]) == 1
}
