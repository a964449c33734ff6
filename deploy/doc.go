// Package deploy holds the tests of the files around it, the systemd unit, the container file and the gate files that go
// with them, and of what docs/operations.md says about limits and metrics. It has no code. The Kubernetes manifest has a
// module of its own, kubernetes/check.
package deploy
