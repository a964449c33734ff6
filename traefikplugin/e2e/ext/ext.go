// Package ext stands in for a folder that Traefik does not publish.
package ext

// HTTP would hold more of a dynamic configuration.
type HTTP struct{}

// Router would hold more of a router.
type Router struct{}
