// Package e2e runs the Traefik plugin where it lives: in the loader of Traefik's own module, and in real Traefik
// processes that "make traefik" has built. It is a module of its own, because the root module must not require Traefik.
//
// The loader's tests need nothing else. Those of the process are skipped where .cache/traefik is missing, except under
// CI=true, where that is a failure. In the bundle that both load, one file is another than in a release: clock.go, which
// here reads the time from a file, so that the corpus meets its own times.
package e2e
