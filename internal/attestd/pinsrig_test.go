package attestd_test

import (
	"crypto/rand"
	"encoding/base64"
	"io"
	"log"
	"net/http"
	"testing"
)

func discarded() *log.Logger { return log.New(io.Discard, "", 0) }

// newPin is a pin that no server has.
func newPin() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails
	return base64.StdEncoding.EncodeToString(b[:])
}

// metricsOf are the metrics at a status address.
func metricsOf(t *testing.T, address string) string {
	t.Helper()
	response, err := http.Get("http://" + address + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
