package main

import "testing"

func TestResponsesAreMeasured(t *testing.T) {
	for text, want := range map[string][2]int{
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello":      {200, 43},
		"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello":      {200, 43},
		"HTTP/1.1 204 No Content\r\n\r\n":                        {204, 27},
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n":               {0, 0},
		"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n": {401, 48},
	} {
		if status, total := measureHead([]byte(text)); status != want[0] || total != want[1] {
			t.Errorf("%q: got %d, %d, want %v", text, status, total, want)
		}
	}
}
