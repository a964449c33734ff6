// Package reliability holds tests that run the sidecar as a process and do to it what happens to one: signals, kills,
// overload, a lack of descriptors, logs nobody reads, full disks, keys and files that change or break under traffic, sources
// of control and keys that fail or lie, clocks that are set. They ask for what a user sees: right verdicts, requests in
// flight that finish, a readiness that tells the truth, and recovery without a restart. The package has no code.
//
// Each test has a short form, which all of them together finish within two minutes, and a long one, chosen by
// APPROOVGATE_RELIABILITY=long, whose figures are those of docs/reliability.md; go test -v prints them.
//
// Start reading at rig_test.go; traffic_test.go has the load, controlserver_test.go the sources.
package reliability
