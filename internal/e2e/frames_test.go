package e2e_test

import (
	"bytes"
	"net"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// frameClient speaks HTTP/2 frame by frame.
type frameClient struct {
	t      *testing.T
	framer *http2.Framer
	block  bytes.Buffer // what encode writes to
	encode *hpack.Encoder
}

// newFrameClient sends the preface and empty SETTINGS (RFC 9113 §3.4).
func newFrameClient(t *testing.T, conn net.Conn) *frameClient {
	t.Helper()
	if _, err := conn.Write([]byte(http2.ClientPreface)); err != nil {
		t.Fatal(err)
	}
	c := &frameClient{t: t, framer: http2.NewFramer(conn, conn)}
	c.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	c.encode = hpack.NewEncoder(&c.block)
	if err := c.framer.WriteSettings(); err != nil {
		t.Fatal(err)
	}
	return c
}

// headers opens a stream with fields given as name, value, name, value.
func (c *frameClient) headers(stream uint32, end bool, fields ...string) {
	c.t.Helper()
	c.block.Reset()
	for i := 0; i+1 < len(fields); i += 2 {
		if err := c.encode.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]}); err != nil {
			c.t.Fatal(err)
		}
	}
	err := c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: c.block.Bytes(), EndHeaders: true, EndStream: end})
	if err != nil {
		c.t.Fatal(err)
	}
}

// onWire is the answer on one stream.
type onWire struct {
	frames          []http2.FrameType // HEADERS and DATA, in order
	fields          map[string]string // of all HEADERS
	body            string
	endsWithHeaders bool
}

// answer reads until a stream has ended.
func (c *frameClient) answer(stream uint32) onWire {
	c.t.Helper()
	got := onWire{fields: map[string]string{}}
	for {
		frame, err := c.framer.ReadFrame()
		if err != nil {
			c.t.Fatalf("after the frames %v: %v", got.frames, err)
		}
		if frame.Header().StreamID != stream {
			continue
		}
		switch f := frame.(type) {
		case *http2.MetaHeadersFrame:
			got.frames = append(got.frames, http2.FrameHeaders)
			for _, field := range f.Fields {
				got.fields[field.Name] = field.Value
			}
			if f.StreamEnded() {
				got.endsWithHeaders = true
				return got
			}
		case *http2.DataFrame:
			got.frames = append(got.frames, http2.FrameData)
			got.body += string(f.Data())
			if f.StreamEnded() {
				return got
			}
		case *http2.RSTStreamFrame:
			c.t.Fatalf("after the frames %v: the stream was reset with %v", got.frames, f.ErrCode)
		}
	}
}
