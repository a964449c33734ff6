package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of /proc/stat: USER_HZ is 100 on every architecture that Go knows (proc(5)).
const tick = 10 * time.Millisecond

// allowedCPUs are the processors this process may use, in order (proc(5), Cpus_allowed_list).
func allowedCPUs() ([]int, error) {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return nil, err
	}
	list, ok := field(string(text), "Cpus_allowed_list:")
	if !ok {
		return nil, fmt.Errorf("/proc/self/status has no Cpus_allowed_list")
	}
	return parseCPUs(list)
}

// parseCPUs reads a list such as 0-2,5 (cpuset(7), List format).
func parseCPUs(list string) ([]int, error) {
	var cpus []int
	for part := range strings.SplitSeq(list, ",") {
		from, to, isRange := strings.Cut(part, "-")
		if !isRange {
			to = from
		}
		first, err := strconv.Atoi(from)
		if err != nil {
			return nil, fmt.Errorf("list of processors %q: %w", list, err)
		}
		last, err := strconv.Atoi(to)
		if err != nil {
			return nil, fmt.Errorf("list of processors %q: %w", list, err)
		}
		for cpu := first; cpu <= last; cpu++ {
			cpus = append(cpus, cpu)
		}
	}
	return cpus, nil
}

// field is the rest of the line that starts with name.
func field(text, name string) (string, bool) {
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, name); ok {
			return strings.TrimSpace(rest), true
		}
	}
	return "", false
}

// cpuTime is what the threads of a process have spent on a core so far, in user and kernel mode. It is
// exact to the nanosecond where /proc/PID/stat counts ticks (proc(5), schedstat).
func cpuTime(pid int) (time.Duration, error) {
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil {
		return 0, err
	}
	var total time.Duration
	read := 0
	for _, task := range tasks {
		text, err := os.ReadFile(task)
		if err != nil {
			continue // the thread has ended
		}
		spent, _, _ := strings.Cut(string(text), " ")
		ns, err := strconv.ParseInt(spent, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", task, err)
		}
		total += time.Duration(ns)
		read++
	}
	if read == 0 {
		return 0, fmt.Errorf("process %d has ended, or this kernel counts no schedstat", pid)
	}
	return total, nil
}

// coreIdle is how long a core has had nothing to do so far, exact to a tick (proc(5), /proc/stat).
func coreIdle(core int) (time.Duration, error) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, err
	}
	line, ok := field(string(text), fmt.Sprintf("cpu%d ", core))
	fields := strings.Fields(line)
	const idle, iowait = 3, 4
	if !ok || len(fields) <= iowait {
		return 0, fmt.Errorf("/proc/stat has no line for processor %d", core)
	}
	var total time.Duration
	for _, text := range []string{fields[idle], fields[iowait]} {
		ticks, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("/proc/stat: %w", err)
		}
		total += time.Duration(ticks) * tick
	}
	return total, nil
}

// machine describes where the figures come from, in one line. What cannot be read is left out.
func machine() string {
	parts := []string{"processor of unknown model"}
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		if model, ok := field(string(text), "model name"); ok {
			parts[0] = strings.TrimSpace(strings.TrimPrefix(model, ":"))
		}
	}
	parts = append(parts, fmt.Sprintf("%d processors", runtime.NumCPU()), runtime.Version())
	if text, err := os.ReadFile("/proc/loadavg"); err == nil {
		if f := strings.Fields(string(text)); len(f) >= 3 {
			parts = append(parts, "load average before "+strings.Join(f[:3], " "))
		}
	}
	return strings.Join(parts, ", ")
}
