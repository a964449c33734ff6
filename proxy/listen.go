package proxy

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"syscall"

	"github.com/pires/go-proxyproto"
)

// listeners are the open sockets of a proxy. Whoever serves them closes them.
type listeners struct {
	data   []net.Listener // as configured, in order
	status net.Listener   // nil: none
	admin  net.Listener   // nil: none
}

// listen opens every configured address, or none.
func (p *Proxy) listen(ctx context.Context) (listeners, error) {
	var open listeners
	var lc net.ListenConfig
	fail := func(field, address string, err error) (listeners, error) {
		open.close()
		return listeners{}, fmt.Errorf("%s %s: %w", field, address, err)
	}
	for _, configured := range p.config.Listen {
		if configured.Unix() {
			if err := removeStale(ctx, configured.Address); err != nil {
				return fail("listen", "unix:"+configured.Address, err)
			}
		}
		l, err := lc.Listen(ctx, configured.Network, configured.Address)
		if err != nil {
			return fail("listen", configured.Address, err)
		}
		open.data = append(open.data, &clientListener{Listener: l, proxy: p})
	}
	if p.config.Status != "" {
		l, err := lc.Listen(ctx, "tcp", p.config.Status)
		if err != nil {
			return fail("status", p.config.Status, err)
		}
		open.status = l
	}
	var err error
	if open.admin, err = p.listenAdmin(ctx); err != nil {
		return fail("admin", p.config.Admin.Address, err)
	}
	return open, nil
}

// close closes listeners that nothing was accepted on yet.
func (l listeners) close() {
	for _, one := range append(l.data, l.status, l.admin) {
		if one != nil {
			_ = one.Close() // it was never used
		}
	}
}

// removeStale deletes a socket that a process which is gone has left behind. One that still answers stays,
// and so does whatever is no socket.
func removeStale(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	if info.Mode()&fs.ModeSocket == 0 {
		return errors.New("is there and is no socket; delete it or choose another path")
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", path)
	if err == nil {
		_ = conn.Close() // it was only to see whether somebody answers
		return errors.New("another process listens there")
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return err
	}
	return os.Remove(path)
}

func (l listeners) addresses() Addresses {
	var a Addresses
	for _, data := range l.data {
		a.Listen = append(a.Listen, data.Addr())
	}
	if l.status != nil {
		a.Status = l.status.Addr()
	}
	if l.admin != nil {
		a.Admin = l.admin.Addr()
	}
	return a
}

// clientListener accepts the connections of clients. Those of a load balancer that is configured to send
// one begin with a PROXY header; without it they are closed.
type clientListener struct {
	net.Listener
	proxy *Proxy
}

// Accept returns the next connection that there is room for.
func (l *clientListener) Accept() (net.Conn, error) {
	for {
		raw, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		conn := raw
		if c := &l.proxy.config; c.ProxyProtocol.has(raw.RemoteAddr()) {
			conn = proxyproto.NewConn(raw, proxyproto.WithPolicy(proxyproto.REQUIRE), proxyproto.SetReadHeaderTimeout(c.Limits.HeaderTimeout))
		}
		if admitted := l.proxy.clients.admit(raw, conn); admitted != nil {
			return admitted, nil
		}
	}
}

// has reports whether the other side of a socket is one of the peers.
func (p *Peers) has(address net.Addr) bool {
	switch a := address.(type) {
	case *net.UnixAddr:
		return p.Unix
	case *net.TCPAddr:
		ip, ok := netip.AddrFromSlice(a.IP)
		return ok && p.contains(ip)
	}
	return false
}
