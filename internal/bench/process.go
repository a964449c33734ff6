package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// roles are the subcommands, each one process of the measurement. A role says where it serves by calling
// ready, with the number of the process that serves if it is not its own, takes its orders from in, and ends
// with ctx.
var roles = map[string]role{
	"load": load, bareSystem: bare, gateSystem: gated, haproxySystem: haproxy, nginxSystem: nginx, njsSystem: njs,
	bareCaddy: caddy(false), gateCaddy: caddy(true), bareTraefik: traefik(false), gateTraefik: traefik(true),
}

type role func(ctx context.Context, args []string, in io.Reader, ready func(answer string)) error

// serve runs a role until its standard input ends, as it does with whoever started it, however that died.
func serve(ctx context.Context, r role, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	ctx, end := context.WithCancel(ctx)
	defer end()
	in, orders := io.Pipe()
	context.AfterFunc(ctx, func() { _ = orders.Close() })
	go func() { // ends with stdin, or with the process
		_, _ = io.Copy(orders, stdin) // whatever ends it, there are no more orders
		end()
	}()
	err := r(ctx, args, in, func(answer string) { fmt.Fprintln(stdout, answer) })
	if err != nil && ctx.Err() == nil {
		fmt.Fprintln(stderr, "bench:", err)
		return 1
	}
	return 0
}

// process is a role that runs.
type process struct {
	pid     int    // that serves
	address string // where
	orders  io.WriteCloser
	answers *bufio.Reader
	kill    func() error
	wait    func() error // for its end; once
}

const (
	startTimeout = 2 * time.Minute // for a process to serve; the load mints its tokens first
	stopTimeout  = 5 * time.Second // for a process to end once it has no more orders
)

// start runs this program again in a role, on one core. It ends when ctx does or by stop.
func start(ctx context.Context, core int, stderr io.Writer, args ...string) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	command := exec.CommandContext(ctx, "taskset", append([]string{"-c", strconv.Itoa(core), self}, args...)...)
	command.Env = append(os.Environ(), "GOMAXPROCS=1")
	command.Stderr = stderr
	command.WaitDelay = stopTimeout
	orders, err := command.StdinPipe()
	if err != nil {
		return nil, err
	}
	command.Cancel = orders.Close // a role ends with its input, and takes along what it has started
	stdout, err := command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := command.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", args[0], err)
	}
	// taskset becomes what it starts, so its number is the role's.
	p := &process{pid: command.Process.Pid, orders: orders, answers: bufio.NewReader(stdout), kill: command.Process.Kill, wait: command.Wait}
	timer := time.AfterFunc(startTimeout, func() { _ = p.kill() }) // its answer then is the end of its output
	defer timer.Stop()
	line, err := p.answer()
	if err == nil {
		err = p.serves(line)
	}
	if err != nil {
		p.stop()
		return nil, fmt.Errorf("%s did not start: %w", args[0], err)
	}
	return p, nil
}

// serves reads what a role is ready with: where it serves, and under which process number if not its own.
func (p *process) serves(line string) error {
	address, pid, other := strings.Cut(line, " ")
	p.address = address
	if !other {
		return nil
	}
	var err error
	p.pid, err = strconv.Atoi(pid)
	return err
}

// answer is the next line a process writes.
func (p *process) answer() (string, error) {
	line, err := p.answers.ReadString('\n')
	if errors.Is(err, io.EOF) {
		err = errors.New("the process has ended")
	}
	return strings.TrimSpace(line), err
}

// stop ends the process and returns when it has ended.
func (p *process) stop() {
	_ = p.orders.Close() // it ends with its input
	timer := time.AfterFunc(stopTimeout, func() { _ = p.kill() })
	defer timer.Stop()
	_ = p.wait() // how it ended no longer matters
}

// cores are the two processors that the measurement uses: the first and the last that this process may
// use, which on larger machines are not the two threads of one core.
func cores() (proxy, others int, err error) {
	if runtime.GOOS != "linux" {
		return 0, 0, errors.New("this measurement needs Linux: it reads /proc and pins processes with taskset")
	}
	if _, err := exec.LookPath("taskset"); err != nil {
		return 0, 0, fmt.Errorf("taskset pins the processes to their cores; install util-linux: %w", err)
	}
	allowed, err := allowedCPUs()
	if err != nil {
		return 0, 0, err
	}
	if len(allowed) < 2 {
		return 0, 0, fmt.Errorf("%w: the proxy has one to itself; this process may use %d", errOneCPU, len(allowed))
	}
	return allowed[0], allowed[len(allowed)-1], nil
}

// errOneCPU is the one lack that a machine cannot be given.
var errOneCPU = errors.New("two processors are needed")
