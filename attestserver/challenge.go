package attestserver

import (
	"net/http"

	"github.com/approovgate/approovgate/attestapi"
)

// challenge answers with a nonce: the first request of a cold fetch (manual, "Token Fetch Latency"). Nothing is kept
// of it. Any library gets one, also one that is not there.
func (s *Server) challenge(w http.ResponseWriter, _ *http.Request, body []byte, id string) error {
	q, err := decodeChallenge(body)
	if err != nil {
		return err
	}
	c, err := s.named(q.Account)
	if err != nil {
		return err
	}
	now := s.o.Now()
	nonce, err := s.newNonce(c, q.DeviceID, now, nonceTTL)
	if err != nil {
		return err
	}
	return writeJSON(w, attestapi.ChallengeResponse{
		Nonce: nonce, NonceTTL: int(nonceTTL.Seconds()), Rules: s.o.Rules, Now: now.Unix(), Request: id,
	})
}

// DefaultRules are what SDKs look for unless a server is told otherwise (manual, "Security Rules Updates").
func DefaultRules() *attestapi.Rules {
	return &attestapi.Rules{
		Version: 1,
		Checks:  []string{attestapi.CheckTracer, attestapi.CheckPreload, attestapi.CheckLoaded, attestapi.CheckRoot},
		Names: map[string]string{
			"frida":         attestapi.FlagFrida,
			"gum-js":        attestapi.FlagFrida,
			"xposed":        attestapi.FlagXposed,
			"lspatch":       attestapi.FlagXposed,
			"substrate":     attestapi.FlagCydia,
			"cydia":         attestapi.FlagCydia,
			"cycript":       attestapi.FlagCycript,
			"magisk":        attestapi.FlagRootRisk,
			"libriru":       attestapi.FlagRootRisk,
			"tweakinject":   attestapi.FlagJailbroken,
			"sslkillswitch": attestapi.FlagJailbroken,
		},
	}
}
