// Package config owns the gate policy and the control document: their Go types, and the one strict decoder that
// makes them from a tree of maps, lists and scalars.
//
// Every host reduces its own syntax (YAML, a Caddyfile, Traefik middleware options) to such a tree, so a key
// means the same everywhere. Decode fills in every default and reports every problem at once, each with the
// path to the field and the fix. A policy with a problem that is more than a warning is never returned.
//
// The package does no I/O and knows no file format: references to secrets stay references, package source reads
// them. It must not decide anything about a request; that is package engine's work. No text it produces holds a
// reference's value, because an inline: reference is the secret itself.
//
// Start reading at policy.go, which is the reference of all fields, then decode.go. Tree in tree.go is the
// strict reader; hosts use it for the keys they add around the policy. control.go holds the live switch.
package config
