//go:build linux

package reliability

import (
	"bufio"
	"crypto/rand"
	"crypto/sha1"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// What RFC 6455 says, as far as an echo of short messages needs it.
const (
	websocketGUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11" // §1.3
	finalText     = 0x81                                   // §5.2: the last frame of a message, text
	masked        = 0x80                                   // §5.2: beside the length
	longest       = 125                                    // §5.2: bytes that a length of seven bits may say
)

func websocketAccept(key string) string {
	sum := sha1.Sum([]byte(key + websocketGUID))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// echoSocket is what an API does with a WebSocket: it sends back each message.
func echoSocket(w http.ResponseWriter, r *http.Request) {
	conn, stream, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	defer func() { _ = conn.Close() }() // the client's end shows in what it reads
	_, err = fmt.Fprintf(stream, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
		websocketAccept(r.Header.Get("Sec-WebSocket-Key")))
	for err == nil {
		if err = stream.Flush(); err != nil {
			return
		}
		var text []byte
		if text, err = readFrame(stream.Reader); err == nil {
			_, err = stream.Write(append([]byte{finalText, byte(len(text))}, text...))
		}
	}
}

// readFrame reads one short text message.
func readFrame(r *bufio.Reader) ([]byte, error) {
	var head [2]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	length := int(head[1] &^ masked)
	if head[0] != finalText || length > longest {
		return nil, fmt.Errorf("a frame that begins %x, want a short text", head)
	}
	var mask [4]byte
	if head[1]&masked != 0 {
		if _, err := io.ReadFull(r, mask[:]); err != nil {
			return nil, err
		}
	}
	text := make([]byte, length)
	if _, err := io.ReadFull(r, text); err != nil {
		return nil, err
	}
	for i := range text {
		text[i] ^= mask[i%len(mask)]
	}
	return text, nil
}

// socket is a client's WebSocket.
type socket struct {
	conn net.Conn
	in   *bufio.Reader
}

// openSocket asks for a WebSocket. The status is that of the answer; the socket is there if it is 101. settings: of TLS;
// nil: none is spoken.
func openSocket(address, path string, settings *tls.Config, header http.Header) (*socket, int, error) {
	conn, err := net.DialTimeout("tcp", address, patience)
	if err != nil {
		return nil, 0, err
	}
	if settings != nil {
		conn = tls.Client(conn, settings)
	}
	s := &socket{conn: conn, in: bufio.NewReader(conn)}
	status, err := s.handshake(path, header)
	if err != nil || status != http.StatusSwitchingProtocols {
		_ = conn.Close() // it holds no WebSocket
		return nil, status, err
	}
	return s, status, nil
}

func (s *socket) handshake(path string, header http.Header) (status int, err error) {
	if err := s.conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return 0, err
	}
	nonce := make([]byte, 16)
	if _, err := rand.Read(nonce); err != nil {
		return 0, err
	}
	key := base64.StdEncoding.EncodeToString(nonce)
	request, err := http.NewRequest(http.MethodGet, "http://api.test"+path, nil)
	if err != nil {
		return 0, err
	}
	for name, values := range header {
		request.Header[name] = values
	}
	for name, value := range map[string]string{"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": key} {
		request.Header.Set(name, value)
	}
	if err := request.Write(s.conn); err != nil {
		return 0, err
	}
	response, err := http.ReadResponse(s.in, request)
	if err != nil {
		return 0, err
	}
	if response.StatusCode == http.StatusSwitchingProtocols && response.Header.Get("Sec-WebSocket-Accept") != websocketAccept(key) {
		return 0, errors.New("Sec-WebSocket-Accept is not that of the key")
	}
	return response.StatusCode, nil
}

// echo sends a short message and waits for it to come back.
func (s *socket) echo(message string) error {
	frame := []byte{finalText, masked | byte(len(message)), 0, 0, 0, 0} // §5.3: any key may be chosen, this one changes nothing
	if err := s.conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if _, err := s.conn.Write(append(frame, message...)); err != nil {
		return err
	}
	text, err := readFrame(s.in)
	if err == nil && string(text) != message {
		err = fmt.Errorf("got %q back, want %q", text, message)
	}
	return err
}

func (s *socket) close() { _ = s.conn.Close() } // the message that counted has come back
