package attestserver

import (
	"net/http"

	"github.com/approovgate/approovgate/attestapi"
)

// healthy says whether attestations can be answered. A failover asks it.
func (s *Server) healthy(w http.ResponseWriter, _ *http.Request, _ []byte, _ string) error {
	if err := s.Ready(); err != nil {
		return busy("attestations cannot be answered at the moment")
	}
	return writeJSON(w, struct {
		Status string `json:"status"`
	}{"ok"})
}

// describe says what the service speaks.
func (s *Server) describe(w http.ResponseWriter, _ *http.Request, _ []byte, _ string) error {
	return writeJSON(w, attestapi.Description{
		Service: "approovgate attestation", Server: s.o.Version, Versions: []int{attestapi.Version},
		Evidence: s.evidence.Types(), MaxBody: attestapi.MaxRequest,
	})
}
