package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// The patience with a program that is not ours.
const (
	foreignStart  = 10 * time.Second       // to accept connections
	foreignStop   = 2 * time.Second        // to end once asked to; less than stopTimeout
	foreignLook   = 10 * time.Millisecond  // between two looks whether it serves
	foreignAnswer = 200 * time.Millisecond // to answer by itself
)

// foreign runs a program that is not ours in this role's place: it has prepare write the configuration into a
// folder of its own, starts what prepare names, says where it serves and under which process number, and ends
// it with ctx. The program inherits this process's core.
func foreign(ctx context.Context, ready func(string), prepare func(dir, address string) (name string, args []string, err error)) error {
	dir, err := os.MkdirTemp("", "approovgate-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	address, err := freeAddress(ctx)
	if err != nil {
		return err
	}
	name, args, err := prepare(dir, address)
	if err != nil {
		return err
	}
	if name, err = lookProgram(name); err != nil {
		return err
	}
	runtime.LockOSThread() // the end of this thread would end the program, see endWithStarter
	defer runtime.UnlockOSThread()
	life, end := context.WithCancel(ctx)
	defer end()
	command := exec.CommandContext(life, name, args...)
	command.Dir = dir
	command.Stderr = os.Stderr
	command.SysProcAttr = endWithStarter()
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGTERM) }
	command.WaitDelay = foreignStop
	if err := command.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { // ends with the program
		ended <- command.Wait()
		end()
	}()
	if err := accepting(life, address); err == nil {
		ready(fmt.Sprint(address, " ", command.Process.Pid))
	} else {
		end()
	}
	return fmt.Errorf("%s has ended: %w", name, <-ended)
}

// lookProgram finds a program, also where Debian puts servers, which is not on everybody's path.
func lookProgram(name string) (string, error) {
	if strings.Contains(name, "/") {
		return filepath.Abs(name) // it is started in another folder
	}
	found, err := exec.LookPath(name)
	if err != nil {
		if found, sbin := exec.LookPath(filepath.Join("/usr/sbin", name)); sbin == nil {
			return found, nil
		}
	}
	return found, err
}

// versions are what the programs that are not ours call themselves, as far as they are there.
func versions() []string {
	var all []string
	for _, name := range []string{"haproxy", "nginx"} {
		if found, err := lookProgram(name); err == nil {
			text, _ := exec.Command(found, "-v").CombinedOutput() // one that cannot tell will not start either
			words := strings.Fields(strings.TrimPrefix(string(text), "nginx version: "))
			all = append(all, strings.Join(words[:min(len(words), 3)], " "))
		}
	}
	return all
}

// freeAddress is an address of loopback on a port that nobody has right now. Our programs let the system choose
// as they listen; these cannot.
func freeAddress(ctx context.Context) (string, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", loopback)
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// accepting returns when the program at address serves, or why it does not. Traefik accepts connections before it
// knows of any route, and answers 404 until then. One that takes its time has asked the upstream, which answers
// nothing yet.
func accepting(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, foreignStart)
	defer cancel()
	look := time.NewTicker(foreignLook)
	defer look.Stop()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: foreignAnswer}
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/v1/shapes", nil)
		if err != nil {
			return err
		}
		response, err := client.Do(request)
		if slow, ok := err.(net.Error); ok && slow.Timeout() && ctx.Err() == nil {
			return nil
		}
		if err == nil {
			_ = response.Body.Close() // its status says it all
			if response.StatusCode != http.StatusNotFound {
				return nil
			}
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// writeConfig writes a configuration in which words stand for values, given in pairs.
func writeConfig(file, text string, words ...string) error {
	return os.WriteFile(file, []byte(strings.NewReplacer(words...).Replace(text)), 0o600)
}
