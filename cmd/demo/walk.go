package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// answerTime is how long one request of the walk may take.
const answerTime = 5 * time.Second

// outcome is what came of a step: verdict and reason as the gate logged them, the rest as seen from outside.
type outcome struct {
	verdict string
	reason  string
	status  int
	reaches bool
	tells   string
}

// walker sends the steps, one after the other.
type walker struct {
	gate  string // address
	admin string // path of its socket
	api   *legacyAPI
	log   *decisionLog
}

// walk sends one step and returns what came of it.
func (w walker) walk(s step) (outcome, error) {
	if s.control != "" {
		if err := w.put(s.control); err != nil {
			return outcome{}, fmt.Errorf("%s: %w", s.what, err)
		}
	}
	w.log.take()
	before := w.api.count()
	status, body, err := send(w.gate, s)
	if err != nil {
		return outcome{}, fmt.Errorf("%s: %w", s.what, err)
	}
	d := w.log.take()
	got := outcome{verdict: d.verdict, reason: d.reason, status: status, reaches: w.api.count() > before}
	if got.reaches {
		var answer seen
		if err := json.Unmarshal(body, &answer); err != nil {
			return outcome{}, fmt.Errorf("%s: the API's answer: %w", s.what, err)
		}
		got.tells = answer.Verdict
	}
	return got, nil
}

// put puts a control document into force, as "approovgate bypass" and the others do.
func (w walker) put(document string) error {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", w.admin)
	}
	transport := &http.Transport{DialContext: dial, DisableKeepAlives: true}
	request, err := http.NewRequest(http.MethodPut, "http://approovgate/control", strings.NewReader(document))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := (&http.Client{Transport: transport, Timeout: answerTime}).Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		body, err := io.ReadAll(io.LimitReader(response.Body, 1<<16))
		return errors.Join(fmt.Errorf("the admin interface answers %s: %s", response.Status, body), err)
	}
	return nil
}

// differences lists where an outcome is not what its step announces; nil: nowhere.
func (s step) differences(got outcome) []string {
	var all []string
	compare := func(field string, got, want any) {
		if got != want {
			all = append(all, fmt.Sprintf("%s: got %v, want %v", field, got, want))
		}
	}
	compare("verdict", got.verdict, s.verdict)
	compare("reason", got.reason, s.reason)
	compare("status", got.status, s.status)
	compare("reaches the API", got.reaches, s.reaches)
	compare("verdict header at the API", got.tells, s.tells)
	return all
}

// send writes a request as it stands: no client library would send some of them.
func send(address string, s step) (status int, body []byte, err error) {
	conn, err := net.DialTimeout("tcp", address, answerTime)
	if err != nil {
		return 0, nil, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(answerTime)); err != nil {
		return 0, nil, err
	}
	lines := append([]string{s.request + " HTTP/1.1", "Host: " + address, "Connection: close"}, s.headers...)
	if _, err := io.WriteString(conn, strings.Join(lines, "\r\n")+"\r\n\r\n"); err != nil {
		return 0, nil, err
	}
	method, _, _ := strings.Cut(s.request, " ")
	response, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	body, err = io.ReadAll(io.LimitReader(response.Body, 1<<16))
	return response.StatusCode, body, err
}
