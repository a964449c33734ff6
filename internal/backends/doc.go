// Package backends proves, on real backends, that no spelling of a target leads around a rule: whatever
// resource a backend serves, the gate applied that resource's rule.
//
// It has tests only. Raw request lines go through package proxy to Go's ServeMux, nginx, Node.js and
// Python's http.server; the answer tells which resource was served. Start reading at
// TestNoSpellingLeadsAroundARule in matrix_test.go; targets_test.go has the spellings, start_test.go
// starts the backends. A backend that is not installed is skipped, and fails the test when CI=true.
package backends
