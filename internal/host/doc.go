// Package host is what compiled hosts share around a gate: YAML and JSON files as trees, loading a policy
// with problems that name the file, the cache of dear checks, and Prometheus metrics.
//
// It decides nothing about requests and enforces nothing: that is package gate. Start reading at Loader
// (load.go); ReadTree (yaml.go) and NewMetrics (metrics.go) stand alone.
package host
