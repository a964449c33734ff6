// Package deploy holds the tests of the files around it, the systemd units, the container file and the gate files that go
// with them, the alerts and the dashboard, and of what docs/operations.md and docs/runbooks say about limits, metrics and
// commands. It has no code. The Kubernetes manifest has a module of its own, kubernetes/check.
package deploy
