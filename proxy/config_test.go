package proxy

import (
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/approovgate/approovgate/config"
)

func TestDecodeConfig(t *testing.T) {
	policy := map[string]any{"keys": keysOfTest()}
	good := func(changes map[string]any) map[string]any {
		tree := map[string]any{"listen": "127.0.0.1:8080", "upstream": "http://127.0.0.1:9000", "policy": policy}
		for key, value := range changes {
			tree[key] = value
			if value == nil {
				delete(tree, key)
			}
		}
		return tree
	}
	for _, row := range []struct {
		name string
		tree map[string]any
		want []string // paths of all errors; none: it is accepted
	}{
		{"the shortest file", good(nil), nil},
		{"several addresses", good(map[string]any{"listen": []any{":8080", "[::1]:8081"}}), nil},
		{"an https upstream", good(map[string]any{"upstream": "https://api.example.com"}), nil},
		{"an upstream with the path /", good(map[string]any{"upstream": "http://127.0.0.1:9000/"}), nil},
		{"everything missing", map[string]any{}, []string{"listen", "policy", "upstream"}},
		{"an empty list of addresses", good(map[string]any{"listen": []any{}}), []string{"listen"}},
		{"an address without a port", good(map[string]any{"listen": []any{"127.0.0.1"}}), []string{"listen[0]"}},
		{"an address with a port that is no number", good(map[string]any{"listen": "127.0.0.1:http"}), []string{"listen[0]"}},
		{"an address with a port too high", good(map[string]any{"listen": "127.0.0.1:65536"}), []string{"listen[0]"}},
		{"an address that is a URL with a path", good(map[string]any{"listen": "http://127.0.0.1:80/x"}), []string{"listen[0]"}},
		{"an address twice", good(map[string]any{"listen": []any{":1", ":1"}}), []string{"listen[1]"}},
		{"an address of the wrong type", good(map[string]any{"listen": map[string]any{}}), []string{"listen"}},
		{"a status address that is a listen address", good(map[string]any{"status": "127.0.0.1:8080"}), []string{"status"}},
		{"a status address without a port", good(map[string]any{"status": "127.0.0.1"}), []string{"status"}},
		{"an upstream that is the gate", good(map[string]any{"upstream": "http://127.0.0.1:8080"}), []string{"upstream"}},
		{"an upstream of another scheme", good(map[string]any{"upstream": "ftp://127.0.0.1"}), []string{"upstream"}},
		{"an upstream without a scheme", good(map[string]any{"upstream": "127.0.0.1:9000"}), []string{"upstream"}},
		{"an upstream without a host", good(map[string]any{"upstream": "http://:9000"}), []string{"upstream"}},
		{"an upstream with a path", good(map[string]any{"upstream": "http://127.0.0.1/api"}), []string{"upstream"}},
		{"an upstream with a password", good(map[string]any{"upstream": "http://u:p@127.0.0.1"}), []string{"upstream"}},
		{"an upstream with a query", good(map[string]any{"upstream": "http://127.0.0.1/?x"}), []string{"upstream"}},
		{"an upstream of the wrong type", good(map[string]any{"upstream": 9000}), []string{"upstream"}},
		{"a log level nobody knows", good(map[string]any{"log": map[string]any{"level": "loud"}}), []string{"log.level"}},
		{"a log format nobody knows", good(map[string]any{"log": map[string]any{"format": "xml"}}), []string{"log.format"}},
		{"policy and policy_file", good(map[string]any{"policy_file": "x.yaml"}), []string{"policy_file"}},
		{"an empty policy_file", good(map[string]any{"policy": nil, "policy_file": ""}), []string{"policy_file"}},
		{"a policy of the wrong type", good(map[string]any{"policy": "x"}), []string{"policy"}},
		{"an unknown key", good(map[string]any{"upstreams": "x"}), []string{"upstreams"}},
		{"an empty section tls", good(map[string]any{"tls": map[string]any{}}), []string{"tls"}},
		{"a problem inside the policy", good(map[string]any{"policy": map[string]any{"keys": keysOfTest(), "mode": "open"}}), []string{"policy.mode"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, problems := DecodeConfig(row.tree)
			var got []string
			for _, p := range problems {
				if !p.Warning {
					got = append(got, p.Path)
				}
			}
			if !slices.Equal(got, row.want) && !(row.name == "a policy of the wrong type" && slices.Contains(got, "policy")) {
				t.Errorf("got problems at %q, want at %q: %v", got, row.want, problems)
			}
		})
	}
}

func TestReadConfigReportsBothFilesAtOnce(t *testing.T) {
	dir := t.TempDir()
	gate, policy := filepath.Join(dir, "gate.yaml"), filepath.Join(dir, "sub", "policy.json")
	if err := os.Mkdir(filepath.Dir(policy), 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, gate, "listen: nowhere\nupstream: http://127.0.0.1:1\nlog: {level: warn, format: text}\npolicy_file: sub/policy.json\n")
	write(t, policy, `{"mod": "log", "keys": [{"name": "a", "alg": "HS256", "secret": "file:a.secret"}]}`)
	write(t, filepath.Join(dir, "sub", "a.secret"), "c2hvcnQ=")
	p := &Proxy{File: gate}
	problems := p.Load()
	var got []string
	for _, problem := range problems {
		got = append(got, problem.Path)
	}
	want := []string{gate + ": listen[0]", policy + ": mod", policy + ": keys[0].secret"}
	if !slices.Equal(got, want) {
		t.Errorf("got problems at %q, want at %q", got, want)
	}
	if c := p.Config(); c.Log != (Log{Level: slog.LevelWarn, Text: true, Sample: 100}) {
		t.Errorf("log: got %+v, want warnings as text", c.Log)
	}
}

// TestDecodeSettings has rows for each key of the gate file beside listen, upstream and the policy: what is
// written for it, and where the problems are.
func TestDecodeSettings(t *testing.T) {
	type tree = map[string]any
	pair := tree{"cert": "a.pem", "key": "a.key"}
	limits := func(key string, value any) tree { return tree{"limits": tree{key: value}} }
	for _, row := range []struct {
		name    string
		changes tree
		want    []string // paths of all errors; none: it is accepted
	}{
		{"all kinds of listeners", tree{"listen": []any{"http://:8080", "https://:8443", "unix:/run/gate/http.sock"}, "tls": pair}, nil},
		{"two listeners whose ports the system chooses", tree{"listen": []any{"127.0.0.1:0", "127.0.0.1:0"}}, nil},
		{"an address twice, with different schemes", tree{"listen": []any{"http://:1", "https://:1"}, "tls": pair}, []string{"listen[1]"}},
		{"a socket twice", tree{"listen": []any{"unix:/a", "unix:/a"}}, []string{"listen[1]"}},
		{"a relative socket", tree{"listen": "unix:run/http.sock"}, []string{"listen[0]"}},
		{"an empty socket", tree{"listen": "unix:"}, []string{"listen[0]"}},
		{"a socket of the greatest length", tree{"listen": "unix:/" + strings.Repeat("x", 106)}, nil},
		{"a socket too long", tree{"listen": "unix:/" + strings.Repeat("x", 107)}, []string{"listen[0]"}},
		{"a listener of another scheme", tree{"listen": "h2c://127.0.0.1:80"}, []string{"listen[0]"}},
		{"a listener with a user", tree{"listen": "http://u@127.0.0.1:80"}, []string{"listen[0]"}},
		{"an https listener without a certificate", tree{"listen": "https://:8443"}, []string{"listen[0]"}},
		{"a number as address", tree{"listen": 8080}, []string{"listen"}},

		{"a certificate for plain addresses makes them speak TLS", tree{"tls": pair}, nil},
		{"TLS 1.3 alone", tree{"tls": tree{"cert": "a", "key": "b", "min_version": "1.3"}}, nil},
		{"TLS 1.1", tree{"tls": tree{"cert": "a", "key": "b", "min_version": "1.1"}}, []string{"tls.min_version"}},
		{"a version as a number", tree{"tls": tree{"cert": "a", "key": "b", "min_version": true}}, []string{"tls.min_version"}},
		{"a certificate without a key", tree{"tls": tree{"cert": "a"}}, []string{"tls"}},
		{"a key without a certificate", tree{"tls": tree{"key": "a"}}, []string{"tls"}},
		{"tls of the wrong type", tree{"tls": "a.pem"}, []string{"tls", "tls"}},
		{"an unknown key in tls", tree{"tls": tree{"cert": "a", "key": "b", "ciphers": "x"}}, []string{"tls.ciphers"}},
		{"a certificate that no listener uses", tree{"listen": []any{"http://:80", "unix:/a"}, "tls": pair}, []string{"tls"}},

		{"h2c", tree{"h2c": true}, nil},
		{"h2c as a word", tree{"h2c": "on"}, []string{"h2c"}},
		{"h2c where all listeners speak TLS", tree{"h2c": true, "tls": pair}, []string{"h2c"}},
		{"h2c where one listener does not", tree{"h2c": true, "tls": pair, "listen": []any{":1", "http://:2"}}, nil},

		{"peers", tree{"proxy_protocol": []any{"10.0.0.0/8", "::1", "unix"}, "trusted_proxies": "192.0.2.1"}, nil},
		{"peers of all the world", tree{"trusted_proxies": []any{"0.0.0.0/0", "::/0"}}, nil},
		{"a peer that is a name", tree{"trusted_proxies": []any{"lb.example"}}, []string{"trusted_proxies[0]"}},
		{"a peer with a port", tree{"proxy_protocol": []any{"unix", "10.0.0.1:80"}}, []string{"proxy_protocol[1]"}},
		{"a network of 33 bits", tree{"trusted_proxies": []any{"10.0.0.0/33"}}, []string{"trusted_proxies[0]"}},
		{"a peer with zeros in front", tree{"trusted_proxies": []any{"010.0.0.1"}}, []string{"trusted_proxies[0]"}},
		{"an empty peer", tree{"trusted_proxies": []any{""}}, []string{"trusted_proxies[0]"}},
		{"peers of the wrong type", tree{"proxy_protocol": 10}, []string{"proxy_protocol"}},
		{"a peer of the wrong type", tree{"proxy_protocol": []any{10}}, []string{"proxy_protocol[0]"}},

		{"another header for ids", tree{"request_id": "x-correlation-id"}, nil},
		{"no header for ids", tree{"request_id": ""}, nil},
		{"a header with a colon", tree{"request_id": "X-Id:"}, []string{"request_id"}},
		{"a header with an underscore", tree{"request_id": "X_Id"}, []string{"request_id"}},
		{"a header with a line break", tree{"request_id": "X-Id\r\nX-Evil"}, []string{"request_id"}},
		{"a header of the wrong type", tree{"request_id": 1}, []string{"request_id"}},
		{"ids in the header of the token, which would be logged", tree{"request_id": "approov-token"}, []string{"request_id"}},
		{"ids in a header that tells of the origin", tree{"request_id": "X-Forwarded-For"}, []string{"request_id"}},
		{"ids in a header that HTTP needs", tree{"request_id": "Connection"}, []string{"request_id"}},
		{"ids in a header of credentials, which would be logged", tree{"request_id": "Authorization"}, []string{"request_id"}},

		{"an h2c upstream", tree{"upstream": "h2c://127.0.0.1:9000"}, nil},
		{"a unix upstream", tree{"upstream": "unix:/run/api.sock"}, nil},
		{"a relative unix upstream", tree{"upstream": "unix:api.sock"}, []string{"upstream"}},
		{"a unix upstream that is the gate", tree{"listen": "unix:/a", "upstream": "unix:/a"}, []string{"upstream"}},
		{"an upstream with a bare question mark", tree{"upstream": "http://127.0.0.1?"}, []string{"upstream"}},
		{"an upstream with a port that is no number", tree{"upstream": "http://127.0.0.1:http"}, []string{"upstream"}},
		{"an upstream with a port too high", tree{"upstream": "http://127.0.0.1:65536"}, []string{"upstream"}},
		{"an upstream without a port where the gate has it", tree{"listen": "127.0.0.1:80", "upstream": "http://127.0.0.1"}, []string{"upstream"}},
		{"an https upstream with all", tree{"upstream": "https://a:1", "upstream_tls": tree{"ca": "ca.pem", "cert": "a", "key": "b", "server_name": "c"}}, nil},
		{"TLS for an upstream without it", tree{"upstream_tls": tree{"ca": "ca.pem"}}, []string{"upstream_tls"}},
		{"TLS for an h2c upstream", tree{"upstream": "h2c://a:1", "upstream_tls": tree{"server_name": "a"}}, []string{"upstream_tls"}},
		{"a client certificate without a key", tree{"upstream": "https://a:1", "upstream_tls": tree{"cert": "a"}}, []string{"upstream_tls"}},
		{"a client key without a certificate", tree{"upstream": "https://a:1", "upstream_tls": tree{"key": "a"}}, []string{"upstream_tls"}},
		{"upstream_tls of the wrong type", tree{"upstream": "https://a:1", "upstream_tls": true}, []string{"upstream_tls"}},
		{"a way to verify nothing", tree{"upstream": "https://a:1", "upstream_tls": tree{"insecure": true}}, []string{"upstream_tls.insecure"}},

		{"a status address of the wrong type", tree{"status": 9902}, []string{"status"}},
		{"a status address that is a URL", tree{"status": "http://127.0.0.1:9902"}, []string{"status"}},
		{"a status address whose port the system chooses, as of a listener", tree{"listen": "127.0.0.1:0", "status": "127.0.0.1:0"}, nil},

		{"all of log", tree{"log": tree{"level": "debug", "format": "text", "access": true, "sample": 0}}, nil},
		{"the most lines a second", tree{"log": tree{"sample": 1_000_000}}, nil},
		{"more lines than that", tree{"log": tree{"sample": 1_000_001}}, []string{"log.sample"}},
		{"fewer lines than none", tree{"log": tree{"sample": -1}}, []string{"log.sample"}},
		{"access as a word", tree{"log": tree{"access": "yes"}}, []string{"log.access"}},
		{"log of the wrong type", tree{"log": "debug"}, []string{"log"}},

		{"all of tracing", tree{"tracing": tree{"endpoint": "https://collector.example:4318", "sample": "0.25"}}, nil},
		{"no share", tree{"tracing": tree{"sample": "0"}}, nil},
		{"a share above 1", tree{"tracing": tree{"sample": "1.1"}}, []string{"tracing.sample"}},
		{"a share below 0", tree{"tracing": tree{"sample": "-0.1"}}, []string{"tracing.sample"}},
		{"a share that is no number", tree{"tracing": tree{"sample": "NaN"}}, []string{"tracing.sample"}},
		{"a share of the wrong type", tree{"tracing": tree{"sample": []any{}}}, []string{"tracing.sample"}},
		{"an endpoint of another scheme", tree{"tracing": tree{"endpoint": "grpc://127.0.0.1:4317"}}, []string{"tracing.endpoint"}},
		{"an endpoint without a scheme", tree{"tracing": tree{"endpoint": "127.0.0.1:4318"}}, []string{"tracing.endpoint"}},
		{"an endpoint with a password", tree{"tracing": tree{"endpoint": "http://u:p@127.0.0.1:4318"}}, []string{"tracing.endpoint"}},
		{"an endpoint with a query", tree{"tracing": tree{"endpoint": "http://127.0.0.1:4318?x"}}, []string{"tracing.endpoint"}},

		{"limits of the wrong type", tree{"limits": "none"}, []string{"limits"}},
		{"a limit nobody knows", limits("header_timeouts", "1s"), []string{"limits.header_timeouts"}},
		{"a timeout without a unit", limits("header_timeout", 10), []string{"limits.header_timeout"}},
		{"a timeout that is no duration", limits("body_timeout", "soon"), []string{"limits.body_timeout"}},
		{"a timeout of nothing", limits("write_timeout", "0s"), []string{"limits.write_timeout"}},
		{"a timeout too short", limits("idle_timeout", "9ms"), []string{"limits.idle_timeout"}},
		{"the shortest timeout", limits("idle_timeout", "10ms"), nil},
		{"a timeout too long", limits("queue_timeout", "24h1s"), []string{"limits.queue_timeout"}},
		{"the longest timeout", limits("queue_timeout", "24h"), nil},
		{"a negative timeout", limits("dial_timeout", "-1s"), []string{"limits.dial_timeout"}},
		{"no response timeout", limits("response_timeout", "0s"), []string{"limits.response_timeout"}},
		{"no drain delay and no grace", tree{"limits": tree{"drain_delay": "0s", "grace": "0s"}}, nil},
		{"a negative drain delay", limits("drain_delay", "-1s"), []string{"limits.drain_delay"}},
		{"a grace too long", limits("grace", "61m"), []string{"limits.grace"}},
		{"headers too short", limits("header_bytes", 4095), []string{"limits.header_bytes"}},
		{"headers too long", limits("header_bytes", 1<<20+1), []string{"limits.header_bytes"}},
		{"headers of text", limits("header_bytes", "32k"), []string{"limits.header_bytes"}},
		{"connections by the system's limit", limits("connections", 0), nil},
		{"fewer connections than none", limits("connections", -1), []string{"limits.connections"}},
		{"too many connections", limits("connections", 1_000_001), []string{"limits.connections"}},
		{"no streams", limits("streams", 0), []string{"limits.streams"}},
		{"nothing in flight", limits("in_flight", 0), []string{"limits.in_flight"}},
		{"half a request in flight", limits("in_flight", 1.5), []string{"limits.in_flight"}},
		{"no queue", limits("queue", 0), nil},
		{"fewer in the queue than none", limits("queue", -1), []string{"limits.queue"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			file := tree{"listen": "127.0.0.1:8080", "upstream": "http://127.0.0.1:9000", "policy": tree{"keys": keysOfTest()}}
			maps.Copy(file, row.changes)
			_, problems := DecodeConfig(file)
			var got []string
			for _, p := range problems {
				if !p.Warning && !slices.Contains(got, p.Path) {
					got = append(got, p.Path)
				}
				if p.Text == "" {
					t.Errorf("%s: got no text, want one that says what to do", p.Path)
				}
			}
			if !slices.Equal(got, slices.Compact(row.want)) {
				t.Errorf("got problems at %q, want at %q: %v", got, row.want, problems)
			}
		})
	}
}

func TestDefaults(t *testing.T) {
	c, problems := DecodeConfig(map[string]any{"listen": "127.0.0.1:8080", "upstream": "http://127.0.0.1:9000", "policy": map[string]any{"keys": keysOfTest()}})
	if config.Failed(problems) {
		t.Fatal(problems)
	}
	want := Limits{HeaderTimeout: 10 * time.Second, BodyTimeout: 30 * time.Second, WriteTimeout: time.Minute, IdleTimeout: 2 * time.Minute,
		HeaderBytes: 32768, Connections: 0, Streams: 100, InFlight: 1024, Queue: 1024, QueueTimeout: time.Second,
		DialTimeout: 5 * time.Second, ResponseTimeout: time.Minute, DrainDelay: time.Second, Grace: 30 * time.Second}
	if c.Limits != want {
		t.Errorf("limits: got %+v, want %+v", c.Limits, want)
	}
	if c.H2C || !c.ProxyProtocol.Empty() || !c.TrustedProxies.Empty() || c.RequestID != "X-Request-Id" || c.Status != "" || c.Log.Access || c.Log.Sample != 100 ||
		c.Tracing != (Tracing{Sample: 1}) || c.TLS != (TLS{}) || c.Upstream.TLS != (UpstreamTLS{}) {
		t.Errorf("got %+v, want nobody trusted, and nothing on but ids and samples", c)
	}
	if l := c.Listen[0]; l != (Listen{Network: "tcp", Address: "127.0.0.1:8080"}) {
		t.Errorf("listen: got %+v, want no TLS", l)
	}
}

func TestListenersThatSpeakTLS(t *testing.T) {
	c, problems := DecodeConfig(map[string]any{"listen": []any{":1", "http://:2", "https://:3", "unix:/s"}, "upstream": "http://127.0.0.1:9000",
		"tls": map[string]any{"cert": "a", "key": "b"}, "policy": map[string]any{"keys": keysOfTest()}})
	if config.Failed(problems) {
		t.Fatal(problems)
	}
	want := []Listen{{"tcp", ":1", true}, {"tcp", ":2", false}, {"tcp", ":3", true}, {"unix", "/s", false}}
	if !slices.Equal(c.Listen, want) {
		t.Errorf("got %+v, want %+v", c.Listen, want)
	}
}

func TestRequestIDsNeverStandInTheTokensHeader(t *testing.T) {
	dir := t.TempDir()
	gate := filepath.Join(dir, "gate.yaml")
	write(t, gate, "listen: 127.0.0.1:0\nupstream: http://127.0.0.1:1\nrequest_id: x-token\npolicy_file: policy.yaml\n")
	write(t, filepath.Join(dir, "policy.yaml"), "token: {header: X-Token}\nkeys: [{name: a, alg: HS256, secret: env:NOT_READ_HERE}]\n")
	_, problems := ReadConfig(gate)
	if !slices.ContainsFunc(problems, func(p config.Problem) bool { return p.Path == gate+": request_id" && !p.Warning }) {
		t.Errorf("got %v, want an error at request_id", problems)
	}
}
