package sdk

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestOtherSystems builds the package and package measure for the systems that apps run on, without a C compiler. An
// app for iOS needs one to be linked, which building a package is not.
func TestOtherSystems(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles much of the standard library once for each system")
	}
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("the go tool is not there: ", err)
	}
	for _, system := range []string{"android/arm64", "ios/arm64", "darwin/arm64", "windows/amd64"} {
		t.Run(system, func(t *testing.T) {
			goos, goarch, _ := strings.Cut(system, "/")
			command := exec.Command("go", "build", ".", "../measure")
			command.Env = append(os.Environ(), "GOOS="+goos, "GOARCH="+goarch, "CGO_ENABLED=0")
			if out, err := command.CombinedOutput(); err != nil {
				t.Errorf("got %v, want it to build\n%s", err, out)
			}
		})
	}
}
