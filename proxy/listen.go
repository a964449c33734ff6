package proxy

import (
	"context"
	"fmt"
	"net"
)

// listeners are the open sockets of a proxy. Whoever serves them closes them.
type listeners struct {
	data   []net.Listener
	status net.Listener // nil: none
}

// listen opens every configured address, or none.
func (p *Proxy) listen(ctx context.Context) (listeners, error) {
	var open listeners
	var lc net.ListenConfig
	fail := func(field, address string, err error) (listeners, error) {
		for _, l := range open.data {
			_ = l.Close() // nothing was accepted yet
		}
		return listeners{}, fmt.Errorf("%s %s: %w", field, address, err)
	}
	for _, address := range p.config.Listen {
		l, err := lc.Listen(ctx, "tcp", address)
		if err != nil {
			return fail("listen", address, err)
		}
		open.data = append(open.data, l)
	}
	if p.config.Status != "" {
		l, err := lc.Listen(ctx, "tcp", p.config.Status)
		if err != nil {
			return fail("status", p.config.Status, err)
		}
		open.status = l
	}
	return open, nil
}

func (l listeners) addresses() Addresses {
	var a Addresses
	for _, data := range l.data {
		a.Listen = append(a.Listen, data.Addr())
	}
	if l.status != nil {
		a.Status = l.status.Addr()
	}
	return a
}
