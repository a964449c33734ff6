//go:build !linux

package main

import (
	"context"
	"errors"
	"syscall"
)

// outside needs epoll; cores refuses to start without Linux, so this is not reached.
type outside struct{ address string }

func newOutside(tokens) (*outside, error) { return nil, errors.New("the load needs Linux") }

func (*outside) serveWindow(context.Context, window) (result, error) { return result{}, nil }

// endWithStarter needs Linux too.
func endWithStarter() *syscall.SysProcAttr { return nil }
