// Package source owns bounded reads of what a gate policy refers to: secrets, public keys and key sets, by
// reference (file:PATH, env:NAME, inline:TEXT), and the decoding of a secret's declared encoding.
//
// It must not judge a policy (package config has done that), keep what it has read, or write a secret into an
// error: errors name the place and the fix only.
//
// Start reading at Read, then DecodeSecret.
package source
