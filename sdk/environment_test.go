package sdk

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/approovgate/approovgate/attestapi"
)

func TestWhatTheSystemSays(t *testing.T) {
	names := map[string]string{"frida-gadget": "frida", "libcycript": "cycript"}
	for _, row := range []struct{ name, got, want string }{
		{"no tracer", fmt.Sprint(traced("Name:\tx\nTracerPid:\t0\nUid:\t1\n")), "false"},
		{"a tracer", fmt.Sprint(traced("Name:\tx\nTracerPid:\t4711\nUid:\t1\n")), "true"},
		{"nothing about tracers", fmt.Sprint(traced("")), "false"},
		{"a program named like the line", fmt.Sprint(traced("Name:\tTracerPid:\t1\n")), "false"},
		{"nothing preloaded", fmt.Sprint(preloaded("A=1\x00B=LD_PRELOAD=x\x00")), "false"},
		{"an empty preload", fmt.Sprint(preloaded("LD_PRELOAD=\x00")), "false"},
		{"a library preloaded", fmt.Sprint(preloaded("A=1\x00LD_PRELOAD=/tmp/x.so\x00")), "true"},
		{"a library of a name", fmt.Sprint(loaded("7f-80 r-xp 0 08:01 1  /data/app/Frida-Gadget-16.so\n", names)), "[frida]"},
		{"a deleted library of a name", fmt.Sprint(loaded("7f-80 r-xp 0 08:01 1  /tmp/libcycript.so (deleted)\n", names)), "[cycript]"},
		{"a folder of a name", fmt.Sprint(loaded("7f-80 r-xp 0 08:01 1  /home/frida-gadget/app\n", names)), "[]"},
		{"no file", fmt.Sprint(loaded("7f-80 rw-p 0 00:00 0\n7f-80 rw-p 0 00:00 0 [heap]\n", names)), "[]"},
	} {
		t.Run(row.name, func(t *testing.T) {
			if row.got != row.want {
				t.Errorf("got %s, want %s", row.got, row.want)
			}
		})
	}
}

func TestRulesAreTakenAsFarAsTheyMayAsk(t *testing.T) {
	c := &Client{}
	c.learn(nil)
	if c.rules.Load() != nil {
		t.Error("got rules, want none")
	}
	names := map[string]string{"Frida": attestapi.FlagFrida, "": attestapi.FlagFrida, "x": "tampered", "y": "no-such-flag", strings.Repeat("z", 300): attestapi.FlagFrida}
	c.learn(&attestapi.Rules{Version: 3, Checks: []string{"format-disk", "loaded", "tracer", "loaded"}, Names: names})
	if got, want := fmt.Sprint(*c.rules.Load()), "{3 [tracer loaded] map[frida:frida]}"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	many := map[string]string{}
	for i := range 5000 {
		many[fmt.Sprint("name", i)] = attestapi.FlagFrida
	}
	c.learn(&attestapi.Rules{Names: many})
	if got := len(c.rules.Load().Names); got != maxNames {
		t.Errorf("got %d names, want %d", got, maxNames)
	}
}

var allRules = &attestapi.Rules{Version: 1, Names: map[string]string{"frida-gadget": attestapi.FlagFrida, "libcycript": attestapi.FlagCycript},
	Checks: []string{attestapi.CheckTracer, attestapi.CheckPreload, attestapi.CheckLoaded, attestapi.CheckRoot}}

// TestInspectSeesWhatIsThere starts this test's program again, in an environment with something to see.
func TestInspectSeesWhatIsThere(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("there are checks on Linux only")
	}
	if os.Getenv("APPROOVGATE_TEST_INSPECT") != "" {
		fmt.Println("flags:", inspect(allRules))
		return
	}
	path := filepath.Join(t.TempDir(), "frida-gadget.test")
	content := must(os.ReadFile(must(os.Executable())))
	if err := os.WriteFile(path, content, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct{ name, path, variable, want string }{
		{"nothing unusual", os.Args[0], "X=1", ""},
		{"a program with a name that the rules know", path, "X=1", attestapi.FlagFrida},
		{"a preloaded library", os.Args[0], "LD_PRELOAD=/nowhere.so", attestapi.FlagScanFail},
	} {
		t.Run(row.name, func(t *testing.T) {
			command := exec.Command(row.path, "-test.run=^TestInspectSeesWhatIsThere$")
			command.Env = append(os.Environ(), "APPROOVGATE_TEST_INSPECT=1", row.variable)
			out, err := command.CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			_, rest, _ := strings.Cut(string(out), "flags: [")
			flags, _, _ := strings.Cut(rest, "]")
			if flags != row.want {
				t.Errorf("got flags %q, want %q", flags, row.want)
			}
		})
	}
}

func TestInspectIsQuick(t *testing.T) {
	best := time.Hour
	for range 50 {
		begun := time.Now()
		inspect(allRules)
		best = min(best, time.Since(begun))
	}
	if best > time.Millisecond {
		t.Errorf("got %v, want less than 1 ms", best)
	}
	t.Log(best)
}

func BenchmarkInspect(b *testing.B) {
	for b.Loop() {
		inspect(allRules)
	}
}
