package attestserver

import (
	"net/http"

	"github.com/approovgate/approovgate/attestapi"
)

// config answers with a newer SDK configuration, or 304 (manual, "Writing Dynamic SDK Configuration"). It is no
// attestation and is not counted as one. An app whose configuration was signed anew gets the account's like any other,
// and will refuse it.
func (s *Server) config(w http.ResponseWriter, _ *http.Request, body []byte, _ string) error {
	q, err := decodeConfig(body)
	if err != nil {
		return err
	}
	c, err := s.named(q.Account)
	if err != nil {
		return err
	}
	text := c.update(c.devices[q.DeviceID], q.Version)
	if text == "" {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	return writeJSON(w, attestapi.ConfigResponse{Config: text})
}
