package main

import (
	"strings"
	"testing"
	"time"
)

func TestTable(t *testing.T) {
	var out strings.Builder
	table(&out, [][]string{{"ROUTE", "MODE", "X"}, {"größe", "log", ""}, {"e\u0301te\u0301", "log", "y"}, {"送金", "enforce", "z"}, {"a\tb\x1b", "-", "🚀"}})
	want := "ROUTE  MODE     X\n" + "größe  log\n" + "e\u0301te\u0301    log      y\n" + "送金   enforce  z\n" + "a\ufffdb\ufffd   -        🚀\n"
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
	out.Reset()
	table(&out, [][]string{{"A", "B"}, {strings.Repeat("ä", 101), "x"}, {strings.Repeat("ä", 100), "y"}})
	if lines := strings.Split(out.String(), "\n"); lines[1] != strings.Repeat("ä", 99)+"…  x" || lines[2] != strings.Repeat("ä", 100)+"  y" {
		t.Errorf("long cells: got\n%s", out.String())
	}
}

func TestNames(t *testing.T) {
	if got, want := names([]string{"b", "a b", "c,d", "a\x07"}), "a\ufffd"+`, "a b", b, "c,d"`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestSpans(t *testing.T) {
	for span, want := range map[time.Duration]string{
		0: "now", 400 * time.Millisecond: "now", -900 * time.Millisecond: "now", time.Second: "in 1 s", -59 * time.Second: "59 s ago",
		59600 * time.Millisecond: "in 1 min", 61 * time.Second: "in 1 min 1 s", 899400 * time.Millisecond: "in 15 min", 3599 * time.Second: "in 1 h",
		10*time.Minute - time.Second: "in 9 min 59 s", 10*time.Minute - 1: "in 10 min",
		time.Hour + 40*time.Second: "in 1 h 1 min", -25 * time.Hour: "25 h ago", 48*time.Hour - time.Second: "in 2 days", 49 * time.Hour: "in 2 days 1 h",
		365 * 24 * time.Hour: "in 365 days",
	} {
		if got := fromNow(noon.Add(span), noon); got != want {
			t.Errorf("%v: got %s, want %s", span, got, want)
		}
	}
}

func TestReadTime(t *testing.T) {
	load := func(name string) *time.Location {
		zone, err := time.LoadLocation(name)
		if err != nil {
			t.Fatal(err)
		}
		return zone
	}
	berlin, kathmandu, howe := load("Europe/Berlin"), load("Asia/Kathmandu"), load("Australia/Lord_Howe")
	for _, row := range []struct {
		text string
		zone *time.Location
		want string // in UTC, or in the error
	}{
		{"2030-01-31T12:00:01Z", berlin, "2030-01-31T12:00:01Z"},
		{"2030-01-31T12:00:00Z", berlin, "has passed"},
		{"2030-02-01T00:00:00.5-08:00", berlin, "2030-02-01T08:00:00.5Z"},
		{"13:01", berlin, "2030-01-31T12:01:00Z"},
		{"13:00:01", berlin, "2030-01-31T12:00:01Z"},
		{"13:00", berlin, "has passed"},
		{"18:00", kathmandu, "2030-01-31T12:15:00Z"},
		{"9:00", berlin, "has passed"},
		{"2030-02-01 9:30", berlin, "2030-02-01T08:30:00Z"},
		{"2030-07-01T12:00", berlin, "2030-07-01T10:00:00Z"},
		{"2030-07-01T12:00:30", time.UTC, "2030-07-01T12:00:30Z"},
		{"2030-03-31T01:59", berlin, "2030-03-31T00:59:00Z"},
		{"2030-03-31T02:00", berlin, "does not exist"},
		{"2030-03-31T03:00", berlin, "2030-03-31T01:00:00Z"},
		{"2030-10-27T01:59", berlin, "2030-10-26T23:59:00Z"},
		{"2030-10-27T02:00", berlin, "write 2030-10-27T02:00:00+0"},
		{"2030-10-27T02:59:59", berlin, "happens twice"},
		{"2030-10-27T03:00", berlin, "2030-10-27T02:00:00Z"},
		{"2030-04-07T01:45", howe, "happens twice"}, // by half an hour
		{"2030-04-07T01:29", howe, "2030-04-06T14:29:00Z"},
		{"2030-02-30T12:00", berlin, "--until must be a time"},
		{"25:00", berlin, "--until must be a time"},
		{"2030-02-01", berlin, "--until must be a time"},
		{"15m", berlin, "--until must be a time"},
	} {
		at, err := readTime(row.text, noon, row.zone)
		if got := at.UTC().Format(time.RFC3339Nano); got != row.want && (err == nil || !strings.Contains(err.Error(), row.want)) {
			t.Errorf("%s in %s: got %s, %v, want %s", row.text, row.zone, got, err, row.want)
		}
	}
}

func TestHelp(t *testing.T) {
	var out, errors strings.Builder
	if status := run([]string{"help"}, &out, &errors); status != exitOK || errors.Len() > 0 {
		t.Errorf("help: got %d, %s", status, errors.String())
	}
	all := out.String()
	for name := range commands() {
		if !strings.Contains(all, "\n  "+name+" ") {
			t.Errorf("the usage text does not explain %s", name)
		}
		for _, args := range [][]string{{name, "--help"}, {name, "-h"}, {"help", name}} {
			out.Reset()
			status := run(args, &out, &errors)
			text := out.String()
			if status != exitOK || errors.Len() > 0 || !strings.HasPrefix(text, "approovgate "+name+" ") || !strings.Contains(text, "\nExample:\n  ") || !strings.HasSuffix(text, "\n") {
				t.Errorf("%q: got %d, %s%s, want the help with an example", args, status, text, errors.String())
			}
			for _, line := range strings.Split(text, "\n") {
				if len(line) > 120 {
					t.Errorf("%q: the line is longer than 120: %s", args, line)
				}
			}
		}
	}
	if status := run([]string{"help", "run"}, &out, &errors); status != exitOK {
		t.Errorf("help run: got %d", status)
	}
	if status := run([]string{"help", "me"}, &out, &errors); status != exitUsage || !strings.Contains(errors.String(), `unknown command "me"`) {
		t.Errorf("help me: got %d, %s", status, errors.String())
	}
}
