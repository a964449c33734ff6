// Package loadtest holds the tests and the benchmark that strain a server over a real database. They stand apart from
// package attestserver because its fuzz targets would otherwise be built with the whole of SQLite.
//
// Start reading at BenchmarkAttest.
package loadtest
