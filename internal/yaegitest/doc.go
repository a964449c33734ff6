// Package yaegitest runs the corpus and the scenarios of live control with the engine and the gate interpreted by
// Yaegi, as Traefik runs its plugins, and demands the answers of the compiled gate. It is a module of its own, because
// the root module must not require the interpreter.
//
// The interpreted side is the file testdata/asker.go, which is not compiled, and package internal/liveask, which is
// compiled too. Of package traefikplugin one file is another than in a release: clock.go, which here reads the time from a
// file.
package yaegitest
