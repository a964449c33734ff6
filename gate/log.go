package gate

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/approovgate/approovgate/engine"
	"github.com/approovgate/approovgate/token"
)

const (
	maxLogged = 256 // bytes of a path or host in a log line
	mostAttrs = 19  // facts of one decision
)

// Attrs are the facts of a decision that may be logged: never a token, a secret or a bound value, of
// the query nothing, and of device and address only what privacy allows. Claims are there only if a key
// has verified the token.
func (a *Answer) Attrs(r *http.Request) []slog.Attr {
	attrs := a.Facts(r)
	if a.Action != engine.Forward {
		attrs = append(attrs, slog.Int("status", a.Status(r)))
	}
	if values := r.Header[a.s.policy.Token.Header]; len(values) == 1 && values[0] != "" {
		attrs = append(attrs, slog.String("token_id", tokenID(values[0])))
		if sip := token.SIP(values[0]); sip != "" {
			attrs = append(attrs, slog.String("sip", sip))
		}
	}
	if a.Key == "" {
		return attrs
	}
	c := &a.Claims
	attrs = append(attrs, slog.String("key", a.Key), slog.Time("exp", expiry(c.Exp)))
	add := func(name, value string) {
		if value != "" {
			attrs = append(attrs, slog.String(name, clip(value)))
		}
	}
	add("device", a.s.device(c.Device))
	add("token_ip", a.s.address(c.IP))
	add("iss", c.Issuer)
	add("arc", c.ARC)
	add("anno", strings.Join(c.Annotations(), ","))
	return attrs
}

// Facts are the first of Attrs: what was decided about which request. They are there for a request that
// was not decided on, too.
func (a *Answer) Facts(r *http.Request) []slog.Attr {
	attrs := append(make([]slog.Attr, 0, mostAttrs),
		slog.String("verdict", string(a.Verdict)),
		slog.String("reason", string(a.Reason)),
		slog.String("action", string(a.Action)),
		slog.String("mode", string(a.Mode)),
		slog.String("route", a.Route),
		slog.String("method", clip(r.Method)),
		slog.String("host", clip(behindUser(r.Host))),
		slog.String("path", clip(path(&a.Decision, r))),
	)
	if a.s != nil {
		attrs = append(attrs, slog.String("client", a.s.address(r.RemoteAddr)))
	}
	return attrs
}

// path is what the rule was chosen by, or what could not be read, without the query.
func path(d *engine.Decision, r *http.Request) string {
	text := d.Target
	if text == "" {
		text = behindAuthority(target(r))
	}
	if mark := strings.IndexByte(text, '?'); mark >= 0 {
		text = text[:mark]
	}
	return text
}

// behindAuthority is a target without its scheme and authority, which may hold a password.
func behindAuthority(target string) string {
	if strings.HasPrefix(target, "/") {
		return target
	}
	scheme := strings.Index(target, "://")
	if scheme < 0 {
		return behindUser(target)
	}
	target = target[scheme+len("://"):]
	end := strings.IndexAny(target, "/?#")
	if end < 0 {
		return ""
	}
	return target[end:]
}

// behindUser is an authority without the user information that must not be there (RFC 9110 §4.2.4).
func behindUser(authority string) string {
	return authority[strings.LastIndexByte(authority, '@')+1:]
}

// clip makes a client's text fit for a log line.
func clip(text string) string {
	if len(text) > maxLogged {
		text = text[:maxLogged] + "…"
	}
	return Printable(text)
}

// Printable is text without what could move a terminal's cursor or turn its text around and what log
// formats do not escape: DEL, the C1 control characters and the marks of writing direction.
func Printable(text string) string {
	plain := true
	for i := 0; i < len(text); i++ {
		if text[i] >= 0x7f {
			plain = false
		}
	}
	if plain {
		return text
	}
	return strings.Map(printable, text)
}

func printable(r rune) rune {
	if r >= 0x7f && r <= 0x9f || r == 0x61c || r >= 0x200e && r <= 0x200f || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
		return '\ufffd'
	}
	return r
}

// tokenID tells tokens apart in a log without showing them: 8 bytes of the SHA-256.
func tokenID(compact string) string {
	sum := sha256.Sum256([]byte(compact))
	return hex.EncodeToString(sum[:8])
}

func expiry(seconds float64) time.Time {
	const lastYear = 253402300799 // 9999-12-31T23:59:59Z, the last moment that RFC 3339 can say
	if seconds > lastYear {
		seconds = lastYear
	}
	return time.Unix(int64(seconds), 0).UTC()
}

// device is a device id as the policy lets logs show it.
func (s *snapshot) device(id string) string {
	if id == "" || s.policy.Privacy.DeviceID == "raw" {
		return id
	}
	return s.gate.hide(id)
}

// hideDevice hashes device ids under a key that changes every day and with every start, so that lines of
// one day can be joined and nothing else. The salt is kept in a closure, where no logger finds it.
func hideDevice(salt []byte, now func() time.Time) func(device string) string {
	return func(device string) string {
		mac := hmac.New(sha256.New, salt)
		mac.Write([]byte(now().UTC().Format("2006-01-02") + "\x00" + device))
		return hex.EncodeToString(mac.Sum(nil)[:8])
	}
}

// address is an IP address as logs may show it, without the port: the network of 24 bits (IPv4) or 48
// bits (IPv6).
func (s *snapshot) address(text string) string {
	if host, _, err := net.SplitHostPort(text); err == nil {
		text = host
	}
	if s.policy.Privacy.IP == "raw" {
		return clip(text)
	}
	address, err := netip.ParseAddr(text)
	if err != nil {
		return "" // not an address: nothing that is safe to show
	}
	address = address.Unmap()
	bits := 48
	if address.Is4() {
		bits = 24
	}
	network, err := address.WithZone("").Prefix(bits)
	if err != nil {
		return ""
	}
	return network.String()
}
