package host

import (
	"context"
	"log/slog"
	"net"
	"net/http"
)

// peerKey is where a request's context has its peer.
type peerKey struct{}

// peer is who is at the other end of a unix socket.
type peer struct {
	uid   int
	known bool
}

// WithPeer is for an http.Server's ConnContext: it notes whose process it is that has connected. The connection
// must be the socket itself.
func WithPeer(ctx context.Context, conn net.Conn) context.Context {
	var p peer
	if socket, ok := conn.(*net.UnixConn); ok {
		p.uid, p.known = peerUID(socket)
	}
	return context.WithValue(ctx, peerKey{}, p)
}

// peerAttr says who has sent a request, as far as that is known.
func peerAttr(r *http.Request) slog.Attr {
	if p, _ := r.Context().Value(peerKey{}).(peer); p.known {
		return slog.Int("uid", p.uid)
	}
	return slog.String("from", r.RemoteAddr)
}
