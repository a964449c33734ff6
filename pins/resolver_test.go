package pins

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	typeA    = 1  // RFC 1035 §3.2.2
	typeAAAA = 28 // RFC 3596 §2.1
)

// nameServer answers questions for addresses as a test says; what it is not told about it does not answer.
type nameServer struct {
	mu      sync.Mutex                // guards the fields below
	answers map[uint16][][]netip.Addr // by type: to the first question, the second and so on; the last one stays
	asked   int
}

// resolve starts a name server on this machine, and returns a resolver that asks it alone.
func resolve(t *testing.T, answers map[uint16][][]netip.Addr) (*nameServer, *net.Resolver) {
	t.Helper()
	s := &nameServer{answers: answers}
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for question := make([]byte, 512); ; {
			n, from, err := c.ReadFrom(question)
			if err != nil {
				return
			}
			if answer := s.answer(question[:n]); answer != nil {
				_, _ = c.WriteTo(answer, from) // who does not hear it asks again
			}
		}
	}()
	t.Cleanup(func() { _ = c.Close(); <-ended })
	return s, &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, c.LocalAddr().String())
	}}
}

// answer is the answer to a question (RFC 1035 §4.1); nil: none.
func (s *nameServer) answer(question []byte) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	end := 12
	for end < len(question) && question[end] != 0 {
		end += 1 + int(question[end])
	}
	if end += 5; end > len(question) {
		return nil
	}
	kind := binary.BigEndian.Uint16(question[end-4:])
	steps, known := s.answers[kind]
	if !known {
		return nil
	}
	var addresses []netip.Addr
	if len(steps) > 0 {
		addresses = steps[0]
	}
	if len(steps) > 1 {
		s.answers[kind] = steps[1:]
	}
	header := append([]byte{question[0], question[1], 0x81, 0x80, 0, 1, 0, byte(len(addresses))}, 0, 0, 0, 0)
	answer := append(header, question[12:end]...)
	for _, a := range addresses {
		raw := a.AsSlice()
		answer = append(answer, 0xc0, 12, byte(kind>>8), byte(kind), 0, 1, 0, 0, 0, 0, 0, byte(len(raw))) // the name in the question; lives 0 s
		answer = append(answer, raw...)
	}
	return answer
}

func addresses(texts ...string) (all []netip.Addr) {
	for _, text := range texts {
		all = append(all, netip.MustParseAddr(text))
	}
	return all
}

// What a name stands for is judged when it is connected to, address by address: a name server that says something else
// each time, or hides an inner address among others, leads no Prober with Public to one.
func TestNamesThatLeadInside(t *testing.T) {
	inside, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer inside.Close()
	var mu sync.Mutex
	connections := 0
	go func() { // ends with the listener
		for {
			c, err := inside.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			connections++
			mu.Unlock()
			_ = c.Close()
		}
	}()
	_, port, err := net.SplitHostPort(inside.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	none := [][]netip.Addr{nil}
	for _, row := range []struct {
		name    string
		answers map[uint16][][]netip.Addr
	}{
		{"this machine", map[uint16][][]netip.Addr{typeA: {addresses("127.0.0.1")}, typeAAAA: none}},
		{"this machine, as IPv6", map[uint16][][]netip.Addr{typeA: none, typeAAAA: {addresses("::1")}}},
		{"this machine, as IPv4 within IPv6", map[uint16][][]netip.Addr{typeA: none, typeAAAA: {addresses("::ffff:127.0.0.1")}}},
		{"any address", map[uint16][][]netip.Addr{typeA: {addresses("0.0.0.0")}, typeAAAA: {addresses("::")}}},
		{"a cloud's metadata", map[uint16][][]netip.Addr{typeA: {addresses("169.254.169.254")}, typeAAAA: none}},
		{"an inner network and this machine", map[uint16][][]netip.Addr{typeA: {addresses("10.0.0.1", "192.168.0.1", "127.0.0.1")}, typeAAAA: {addresses("fd00::1")}}},
		{"no address first, this machine then", map[uint16][][]netip.Addr{typeA: {nil, addresses("127.0.0.1")}, typeAAAA: none}},
	} {
		_, resolver := resolve(t, row.answers)
		for range 3 { // a look, and others with what is said then
			_, err := Prober{Connect: "rebound.example:" + port, Public: true, resolver: resolver, Timeout: 20 * time.Second}.Chain(t.Context(), "rebound.example")
			var unknown *net.DNSError
			if !errors.Is(err, ErrPrivate) && !errors.As(err, &unknown) {
				t.Errorf("%s: got %v, want %v", row.name, err, ErrPrivate)
			}
		}
	}
	mu.Lock()
	if connections != 0 {
		t.Errorf("got %d connections to this machine, want none", connections)
	}
	mu.Unlock()
	_, resolver := resolve(t, map[uint16][][]netip.Addr{typeA: {addresses("127.0.0.1")}, typeAAAA: none})
	if _, err := (Prober{Connect: "rebound.example:" + port, resolver: resolver, Timeout: 20 * time.Second}).Chain(t.Context(), "rebound.example"); errors.Is(err, ErrPrivate) {
		t.Errorf("without Public: got %v", err)
	}
	mu.Lock()
	defer mu.Unlock()
	if connections != 1 {
		t.Errorf("without Public: got %d connections, want 1: the name server leads there", connections)
	}
}

// control is what judges an address, after the name was looked up and before the connection is made.
func TestEveryAddressIsJudged(t *testing.T) {
	for address, want := range map[string]error{"93.184.215.14:443": nil, "127.0.0.1:443": ErrPrivate, "169.254.169.254:443": ErrPrivate, "[fe80::1%eth0]:443": ErrPrivate} {
		if err := (Prober{Public: true}).control("tcp", address, nil); !errors.Is(err, want) || (err == nil) != (want == nil) {
			t.Errorf("%s: got %v, want %v", address, err, want)
		}
	}
}

// A name server that answers nothing holds a look up no longer than its time.
func TestANameServerThatHangs(t *testing.T) {
	s, resolver := resolve(t, nil)
	_, err := Prober{Public: true, resolver: resolver, Timeout: 200 * time.Millisecond}.Chain(t.Context(), "hangs.example")
	if err == nil || !strings.Contains(err.Error(), "cannot be reached: ") {
		t.Errorf("got %v, want that it cannot be reached", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.asked == 0 {
		t.Error("the name server was not asked")
	}
}
