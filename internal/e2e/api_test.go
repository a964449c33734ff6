package e2e_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
)

// api is a plain API behind the gate, over HTTP/1.1. The same paths are served below /open too.
type api struct {
	address string
	served  atomic.Int64 // requests that have arrived
}

func startAPI(t *testing.T) *api {
	t.Helper()
	a := &api{}
	mux := http.NewServeMux()
	for _, below := range []string{"", "/open"} {
		mux.HandleFunc(below+"/hello", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "6")
			fmt.Fprintln(w, "hello")
		})
		mux.HandleFunc(below+"/digest", answerDigest)
		mux.HandleFunc(below+"/pattern/{bytes}", answerPattern)
		mux.HandleFunc(below+"/trailers", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Trailer", "X-Announced")
			_, _ = io.WriteString(w, "content") // a client that is gone needs none
			w.Header().Set("X-Announced", "behind the content")
			w.Header().Set(http.TrailerPrefix+"X-Unannounced", "behind it too")
		})
		mux.HandleFunc(below+"/client", func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, r.Header.Get("X-Forwarded-For")) // as above
		})
	}
	a.address = serve(t, &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.served.Add(1)
		mux.ServeHTTP(w, r)
	})})
	return a
}

// file is the gate file's way to the API.
func (a *api) file() settings { return settings{"upstream": "http://" + a.address} }

// answerDigest says what has arrived: how many bytes, their SHA-256, and how their length was told.
func answerDigest(w http.ResponseWriter, r *http.Request) {
	hash := sha256.New()
	n, err := io.Copy(hash, r.Body)
	if err != nil {
		http.Error(w, "the content did not arrive whole", http.StatusBadRequest)
		return
	}
	length := "length unknown"
	if r.ContentLength >= 0 {
		length = "length " + strconv.FormatInt(r.ContentLength, 10)
	}
	fmt.Fprintf(w, "%s %d bytes %s, %s", r.Method, n, hex.EncodeToString(hash.Sum(nil)), length)
}

// digestAnswer is what answerDigest says of content that has arrived whole.
func digestAnswer(method string, content []byte, length string) string {
	sum := sha256.Sum256(content)
	return fmt.Sprintf("%s %d bytes %s, %s", method, len(content), hex.EncodeToString(sum[:]), length)
}

// answerPattern answers as many bytes as the path says.
func answerPattern(w http.ResponseWriter, r *http.Request) {
	n, err := strconv.Atoi(r.PathValue("bytes"))
	if err != nil || n < 0 || n > len(longPattern()) {
		http.Error(w, "want a number of bytes", http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Length", strconv.Itoa(n))
	_, _ = w.Write(longPattern()[:n]) // a client that has enough is part of the tests
}

// longPattern is what answerPattern answers from.
var longPattern = sync.OnceValue(func() []byte { return pattern(16 << 20) })
