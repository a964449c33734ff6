package e2e_test

import (
	"context"
	"errors"
	"os/exec"
	"strconv"
	"testing"
	"time"
)

// TestSlowClientsDoNotHarmOthers has slowhttptest open very many connections that are as slow as can be, beside good
// traffic. The gate must cut them all.
func TestSlowClientsDoNotHarmOthers(t *testing.T) {
	for _, row := range []struct {
		name, path  string
		connections int
		arguments   []string
		cut         time.Duration
	}{
		{"headers that never end", "/open/hello", 2000, []string{"-H", "-i", "1"}, headerTimeout},
		{"content that pauses for longer than allowed", "/open/digest", 1500, []string{"-B", "-i", "6"}, bodyTimeout},
		{"answers that are read five bytes at a time", "/open/pattern/1000000", 1000, []string{"-X", "-w", "10", "-y", "20", "-n", "1", "-z", "5"}, writeTimeout},
	} {
		t.Run(row.name, func(t *testing.T) {
			lasts := attackTime(t)
			g := besieged(t)
			s := beside(t, g)
			for begin := time.Now(); time.Since(begin) < lasts; {
				slowhttptest(t, g, row.connections, row.cut, append(row.arguments, "-u", "http://"+g.plain+row.path))
			}
			s.end(t, lasts)
		})
	}
}

// slowhttptest runs it until the gate has cut its connections. It notices some of that late, so the gate is asked. A machine
// that is busy may open the last ones when the first have been cut, so those count that were open at any time.
func slowhttptest(t *testing.T, g *gate, connections int, cut time.Duration, arguments []string) {
	t.Helper()
	path := program(t, "slowhttptest", "slowhttptest")
	const opening = 3 * patience // of all connections
	lasts := cut + opening
	ctx, cancel := context.WithTimeout(t.Context(), lasts+patience)
	defer cancel()
	count := func(name string) int {
		n, err := g.metric(name)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	before := count("approovgate_connections_accepted_total")
	command := exec.CommandContext(ctx, path, append(arguments, "-c", strconv.Itoa(connections), "-r", strconv.Itoa(connections),
		"-l", strconv.Itoa(int(lasts.Seconds())), "-p", "30", "-v", "0")...)
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- command.Wait() }() // ended by cancel at the latest
	until(t, "slowhttptest's connections", opening, func() bool { return count("approovgate_connections_accepted_total")-before >= connections })
	begin := time.Now()
	until(t, "the gate to cut them", cut+slack, func() bool { return count("approovgate_connections") <= goodConnections })
	t.Logf("%d connections cut within %v", connections, time.Since(begin).Round(100*time.Millisecond))
	cancel()
	if err := <-ended; err != nil && ctx.Err() == nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			t.Errorf("slowhttptest: %v", err)
		}
	}
}
