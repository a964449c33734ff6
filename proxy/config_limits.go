package proxy

import (
	"time"

	"github.com/approovgate/approovgate/config"
)

// Limits bound what clients and the upstream can cost. How long a whole body may take is not bounded:
// streams live; only their pauses are, and only where the one who pauses is the client.
type Limits struct {
	HeaderTimeout   time.Duration // limits.header_timeout: for a request's header, a TLS handshake and a PROXY header; default 10s
	BodyTimeout     time.Duration // limits.body_timeout: longest pause while a request's body comes in, calls of gRPC excepted; default 30s
	WriteTimeout    time.Duration // limits.write_timeout: longest pause in which a client takes nothing of its response; default 60s
	IdleTimeout     time.Duration // limits.idle_timeout: of a client's connection without a request; default 120s
	HeaderBytes     int           // limits.header_bytes: of a request's line and header; default 32768
	Connections     int           // limits.connections: of clients at once; default 0: from the process's descriptor limit, at most 10000
	Streams         int           // limits.streams: HTTP/2 requests at once in one connection; default 100
	InFlight        int           // limits.in_flight: requests that the upstream works on at once, without streams and slow readers; default 1024
	Queue           int           // limits.queue: requests that wait for a place there; default 1024
	QueueTimeout    time.Duration // limits.queue_timeout: for at most this long, then the answer is 503; default 1s
	DialTimeout     time.Duration // limits.dial_timeout: to connect to the upstream; default 5s
	ResponseTimeout time.Duration // limits.response_timeout: until the upstream's response header; default 60s
	DrainDelay      time.Duration // limits.drain_delay: how long, once /ready says 503, new requests are still served; default 1s
	Grace           time.Duration // limits.grace: for the requests then in flight; default 30s
}

// decodeLimits reads the section limits.
func decodeLimits(t *config.Tree) Limits {
	const (
		shortest = 10 * time.Millisecond
		longest  = 24 * time.Hour
		most     = 1_000_000
	)
	timeout := func(key string, def time.Duration) time.Duration { return t.Duration(key, def, shortest, longest) }
	count := func(key string, def, low int64) int { return int(t.Int(key, def, low, most)) }
	return Limits{
		HeaderTimeout:   timeout("header_timeout", 10*time.Second),
		BodyTimeout:     timeout("body_timeout", 30*time.Second),
		WriteTimeout:    timeout("write_timeout", 60*time.Second),
		IdleTimeout:     timeout("idle_timeout", 120*time.Second),
		HeaderBytes:     int(t.Int("header_bytes", 32<<10, 4<<10, 1<<20)),
		Connections:     count("connections", 0, 0),
		Streams:         count("streams", 100, 1),
		InFlight:        count("in_flight", 1024, 1),
		Queue:           count("queue", 1024, 0),
		QueueTimeout:    timeout("queue_timeout", time.Second),
		DialTimeout:     timeout("dial_timeout", 5*time.Second),
		ResponseTimeout: timeout("response_timeout", 60*time.Second),
		DrainDelay:      t.Duration("drain_delay", time.Second, 0, time.Hour),
		Grace:           t.Duration("grace", 30*time.Second, 0, time.Hour),
	}
}
