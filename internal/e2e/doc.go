// Package e2e asks the sidecar, as the process that operators run, through the programs that will really talk to it:
// gRPC's own client and server, a browser's WebSocket and EventSource, curl, h2spec, slowhttptest and a client that
// floods HTTP/2. It is a module of its own, because nothing of that may become a requirement of the root module.
//
// The tests build ./cmd/approovgate once and start it with a gate file of their own each; gate_test.go is where to
// start reading. Programs that are not there skip their tests, and fail them where CI is set. APPROOVGATE_ATTACK is for
// how many seconds each attack lasts, 5 if it is not set.
package e2e
