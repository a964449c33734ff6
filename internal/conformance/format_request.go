package conformance

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// parseRequest turns the request section into the bytes on the wire.
func parseRequest(section string) (string, error) {
	end := strings.Index(section, "\n\n")
	if end < 0 {
		return "", fmt.Errorf("request: no empty line after the headers")
	}
	head, body := section[:end+2], section[end+2:]
	if body != "" && !strings.HasSuffix(body, "\n") {
		return "", fmt.Errorf("request: the file does not end with a line end")
	}
	head, err := unescape(strings.ReplaceAll(head, "\n", "\r\n"))
	if err != nil {
		return "", err
	}
	body, err = unescape(strings.TrimSuffix(body, "\n"))
	return head + body, err
}

func unescape(text string) (string, error) {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' {
			b.WriteByte(text[i])
			continue
		}
		i++
		if i == len(text) {
			return "", fmt.Errorf(`request: \ at the end; write \\ for a backslash`)
		}
		switch text[i] {
		case '\\':
			b.WriteByte('\\')
		case 'n':
			b.WriteByte('\n')
		case 'r':
			b.WriteByte('\r')
		case 't':
			b.WriteByte('\t')
		case 'x':
			if i+3 > len(text) {
				return "", fmt.Errorf(`request: \x needs two hex digits`)
			}
			value, err := strconv.ParseUint(text[i+1:i+3], 16, 8)
			if err != nil {
				return "", fmt.Errorf(`request: \x%s: want two hex digits`, text[i+1:i+3])
			}
			b.WriteByte(byte(value))
			i += 2
		default:
			return "", fmt.Errorf(`request: unknown escape \%c; use \xHH, \n, \r, \t or \\`, text[i])
		}
	}
	return b.String(), nil
}

// formatRequest is the inverse of parseRequest for every request whose head ends with an empty line.
func formatRequest(request string) string {
	head, body, _ := strings.Cut(request, "\r\n\r\n")
	var b strings.Builder
	for i, line := range strings.Split(head, "\r\n") {
		if i > 0 {
			b.WriteByte('\n')
		}
		escape(&b, line, false)
	}
	b.WriteString("\n\n")
	if body != "" {
		escape(&b, body, true)
		b.WriteByte('\n')
	}
	return b.String()
}

func escape(b *strings.Builder, text string, keepLines bool) {
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\n' && keepLines:
			b.WriteByte(c)
		case c == '\\':
			b.WriteString(`\\`)
		case c == '\n':
			b.WriteString(`\n`)
		case c == '\r':
			b.WriteString(`\r`)
		case c == '\t':
			b.WriteString(`\t`)
		case c < ' ' || c > '~':
			fmt.Fprintf(b, `\x%02x`, c)
		default:
			b.WriteByte(c)
		}
	}
}

// Format is the file of a case: Parse reads the same case from it, but for Case.File.
func Format(c Case) string {
	var b strings.Builder
	line := func(key, value string) {
		if value != "" {
			b.WriteString(key + ": " + value + "\n")
		}
	}
	number := func(key string, n int) {
		if n != 0 {
			line(key, strconv.Itoa(n))
		}
	}
	line("name", c.Name)
	line("about", strings.Join(c.About, ", "))
	line("now", c.Now.Format(time.RFC3339Nano))
	line("scheme", c.Scheme)
	line("peer", c.Peer)
	if c.AllSizes {
		line("sizes", "all")
	}
	number("pad-routes", c.PadRoutes)
	number("pad-hosts", c.PadHosts)
	line("refused-by", c.Want.RefusedBy)
	line("problem", c.Want.Problem)
	line("verdict", c.Want.Verdict)
	line("action", c.Want.Action)
	line("reason", c.Want.Reason)
	number("status", c.Want.Status)
	line("body", c.Want.Body)
	line("mode", c.Want.Mode)
	line("route", c.Want.Route)
	line("key", c.Want.Key)
	if c.Want.Unbound {
		line("unbound", "true")
	}
	line("forwarded-target", c.Want.Target)
	line("forwarded-host", c.Want.Host)
	for _, h := range c.Want.Headers {
		line("forwarded-headers", h.Name+"="+h.Value)
	}
	for _, h := range c.Want.HopHeaders {
		line("hop-headers", h.Name+"="+h.Value)
	}
	return b.String() + policyLine + c.Policy + requestLine + formatRequest(c.Request)
}
