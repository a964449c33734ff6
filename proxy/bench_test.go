package proxy

import (
	"bufio"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/approovgate/approovgate/mint"
)

// BenchmarkEndToEnd measures the CPU time that a proxy's process spends on a request, over real sockets:
// a bare httputil.ReverseProxy with the same transport, the gate letting genuine tokens through, and the
// gate refusing unique bad signatures. Each proxy is a process of its own on one core; rounds are
// interleaved and medians compared, so that the ratios hold although the machine is not quiet.
//
//	go test -run '^$' -bench EndToEnd -benchtime 50000x ./proxy
func BenchmarkEndToEnd(b *testing.B) {
	const rounds = 5
	upstream := "http://" + cheapUpstream(b)
	bare, gate := startChild(b, "bare", upstream), startChild(b, "gate", upstream)
	pin(b, os.Getpid(), "1")
	genuine, bad := benchRequests(b)
	variants := []struct {
		name     string
		child    child
		requests []string
		status   string
		cost     []float64
	}{
		{name: "bare", child: bare, requests: genuine, status: "200"},
		{name: "gate", child: gate, requests: genuine, status: "200"},
		{name: "reject", child: gate, requests: bad, status: "401"},
	}
	each := max(b.N/rounds, 1)
	b.ResetTimer()
	for range rounds {
		for i := range variants {
			v := &variants[i]
			before := v.child.cpu(b)
			load(b, v.child.address, v.requests, v.status, each)
			v.cost = append(v.cost, float64((v.child.cpu(b)-before).Nanoseconds())/1000/float64(each))
		}
	}
	b.StopTimer()
	median := map[string]float64{}
	for _, v := range variants {
		slices.Sort(v.cost)
		median[v.name] = v.cost[len(v.cost)/2]
		b.ReportMetric(median[v.name], v.name+"-cpu-µs/req")
	}
	b.ReportMetric(median["gate"]/median["bare"], "gate/bare")
	b.ReportMetric(median["gate"]/median["reject"], "gate/reject")
}

// benchRequests are requests with genuine tokens and with bad signatures, each token once.
func benchRequests(b *testing.B) (genuine, bad []string) {
	b.Helper()
	for i := range 2000 {
		claims := map[string]any{"exp": time.Now().Add(time.Hour).Unix() + int64(i), "did": "dGVzdCBkZXZpY2UgaWQhIQ==", "ip": "203.0.113.7", "iss": "bench"}
		for _, set := range []struct {
			requests *[]string
			secret   []byte
		}{{&genuine, testSecret}, {&bad, nextSecret}} {
			minted, err := mint.Sign("HS256", "", set.secret, claims)
			if err != nil {
				b.Fatal(err)
			}
			*set.requests = append(*set.requests, request("GET", "/v1/shapes?page=1", "Approov-Token: "+minted,
				"Authorization: Bearer 0123456789abcdef0123456789abcdef", "User-Agent: okhttp/4.12.0", "Accept: application/json",
				"Accept-Encoding: gzip", "Accept-Language: en-GB", "X-Request-Id: 0123456789abcdef"))
		}
	}
	return genuine, bad
}

// cheapUpstream answers every request alike, with as little work as can be: it must not keep the proxies
// waiting.
func cheapUpstream(b *testing.B) string {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { l.Close() })
	body := strings.Repeat("x", 256)
	answer := []byte(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%s", len(body), body))
	go func() { // ends with the listener, its connections with their clients
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				reader := bufio.NewReader(conn)
				for readHead(reader, nil) == nil {
					if _, err := conn.Write(answer); err != nil {
						return
					}
				}
			}()
		}
	}()
	return l.Addr().String()
}

// readHead reads lines up to the empty one and shows each to see.
func readHead(reader *bufio.Reader, see func(line []byte)) error {
	for {
		line, err := reader.ReadSlice('\n')
		if err != nil {
			return err
		}
		if len(line) <= len("\r\n") {
			return nil
		}
		if see != nil {
			see(line)
		}
	}
}

// load sends n requests over 64 connections and checks every status.
func load(b *testing.B, address string, requests []string, status string, n int) {
	const connections = 64
	var senders sync.WaitGroup
	for c := range connections {
		senders.Go(func() {
			conn, err := net.Dial("tcp", address)
			if err != nil {
				b.Error(err)
				return
			}
			defer conn.Close()
			reader := bufio.NewReader(conn)
			for i := c; i < n; i += connections {
				got, err := exchange(conn, reader, requests[i%len(requests)])
				if err != nil || got != status {
					b.Errorf("got %q, %v, want %s", got, err, status)
					return
				}
			}
		})
	}
	senders.Wait()
}

// exchange sends a request and returns the status of the answer, read to its end.
func exchange(conn net.Conn, reader *bufio.Reader, request string) (status string, err error) {
	if _, err := io.WriteString(conn, request); err != nil {
		return "", err
	}
	length := 0
	err = readHead(reader, func(line []byte) {
		const name = "Content-Length: "
		switch {
		case status == "" && len(line) > len("HTTP/1.1 200"):
			status = string(line[len("HTTP/1.1 "):len("HTTP/1.1 200")])
		case len(line) > len(name) && string(line[:len(name)]) == name:
			length, err = strconv.Atoi(strings.TrimSpace(string(line[len(name):])))
		}
	})
	if err != nil {
		return "", err
	}
	_, err = reader.Discard(length)
	return status, err
}

// child is a proxy in a process of its own.
type child struct {
	pid     int
	address string
}

// childRole names the variable that makes this test's program one of the proxies.
const childRole = "APPROOVGATE_TEST_PROXY"

func startChild(b *testing.B, role, upstream string) child {
	b.Helper()
	if _, err := os.Stat("/proc/self/schedstat"); err != nil {
		b.Skip("needs /proc/PID/schedstat to measure another process")
	}
	command := exec.CommandContext(b.Context(), os.Args[0])
	command.Env = append(os.Environ(), childRole+"="+role+" "+upstream, "GOMAXPROCS=1")
	command.Stderr = os.Stderr
	stdout, err := command.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := command.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = command.Process.Kill() // it has nothing to finish
		_ = command.Wait()         // killed: the status says nothing
	})
	address, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	pin(b, command.Process.Pid, "0")
	return child{command.Process.Pid, strings.TrimSpace(address)}
}

// pin keeps a process on one core, where taskset is there to do it.
func pin(b *testing.B, pid int, core string) {
	b.Helper()
	taskset, err := exec.LookPath("taskset")
	if err != nil {
		b.Log("taskset is not there: the proxies share their core with the load")
		return
	}
	if out, err := exec.Command(taskset, "-a", "-p", "-c", core, strconv.Itoa(pid)).CombinedOutput(); err != nil {
		b.Logf("taskset: %v: %s", err, out)
	}
}

// cpu is the time the child's threads have spent on a core (proc(5), schedstat).
func (c child) cpu(b *testing.B) time.Duration {
	b.Helper()
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", c.pid))
	if err != nil || len(tasks) == 0 {
		b.Fatalf("threads of process %d: got %v, %v", c.pid, tasks, err)
	}
	var total time.Duration
	for _, task := range tasks {
		text, err := os.ReadFile(task)
		if err != nil {
			continue // the thread has ended
		}
		spent, _, _ := strings.Cut(string(text), " ")
		ns, err := strconv.ParseInt(spent, 10, 64)
		if err != nil {
			b.Fatal(err)
		}
		total += time.Duration(ns)
	}
	return total
}

// TestMain runs the tests, or in a benchmark's child the proxy that it asks for.
func TestMain(m *testing.M) {
	role, upstream, ok := strings.Cut(os.Getenv(childRole), " ")
	if !ok {
		os.Exit(m.Run())
	}
	if err := serveAs(role, upstream); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// serveAs serves as one of the benchmark's proxies until it is killed.
func serveAs(role, upstream string) error {
	if role == "bare" {
		target, err := url.Parse(upstream)
		if err != nil {
			return err
		}
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		fmt.Println(l.Addr())
		bare := &httputil.ReverseProxy{Transport: newTransport(nil), BufferPool: new(bufferPool),
			Rewrite: func(p *httputil.ProxyRequest) { p.SetURL(target); p.Out.Host = p.In.Host; p.SetXForwarded() }}
		p := &Proxy{Log: NewLogger(io.Discard, Log{})}
		return p.server(context.Background(), bare).Serve(l)
	}
	p := &Proxy{
		Tree: map[string]any{"listen": "127.0.0.1:0", "upstream": upstream, "policy": map[string]any{"keys": []any{
			map[string]any{"name": "account", "alg": "HS256", "secret": "inline:" + base64.StdEncoding.EncodeToString(testSecret)}}}},
		Ready: func(a Addresses) { fmt.Println(a.Listen[0]) },
		Log:   NewLogger(io.Discard, Log{}),
	}
	if problems := p.Load(); p.gate == nil {
		return fmt.Errorf("load: %v", problems)
	}
	return p.Run(context.Background())
}
