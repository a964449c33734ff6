// Package source owns bounded reads of what a gate policy refers to: secrets, public keys and key sets, by
// reference (file:PATH, env:NAME, inline:TEXT) or behind an https:// URL, the decoding of a secret's declared
// encoding, and writing a file so that it is never half there.
//
// It must not judge a policy (package config has done that), keep what it has read, or write a secret into an
// error: errors name the place and the fix only.
//
// Start reading at Read, then DecodeSecret and Remote.
package source
