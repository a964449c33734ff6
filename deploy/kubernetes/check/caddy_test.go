package check

import (
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// The Caddyfile itself is loaded by the tests of cmd/caddy.
func TestTheCaddyfileIsReadFromTheConfigMap(t *testing.T) {
	m := decode(t, caddyManifest)
	gate, _ := m.containers(t)
	if got, want := strings.Join(gate.Args, " "), "run --config /etc/caddy/Caddyfile"; got != want {
		t.Errorf("got arguments %q, want %q", got, want)
	}
	text := m.config.Data["Caddyfile"]
	if text == "" {
		t.Fatal("the ConfigMap has no Caddyfile")
	}
	volumes := map[string]string{} // paths in the container by volume
	for _, mount := range gate.VolumeMounts {
		volumes[mount.Name] = mount.MountPath
		if writable := mount.MountPath == "/run/caddy"; mount.SubPath != "" || mount.ReadOnly == writable {
			t.Errorf("%s: got subPath %q, readOnly %v; want none, which would never be updated, and %v", mount.MountPath, mount.SubPath, mount.ReadOnly, !writable)
		}
	}
	for _, volume := range m.api.Spec.Template.Spec.Volumes {
		path := volumes[volume.Name]
		switch {
		case volume.ConfigMap != nil && path == "/etc/caddy" && volume.ConfigMap.Name == m.config.Name:
		case volume.Secret != nil && path == "/run/secrets/approov" && volume.Secret.DefaultMode != nil && *volume.Secret.DefaultMode == 0o440:
		case volume.EmptyDir != nil && path == "/run/caddy" && volume.EmptyDir.SizeLimit != nil && !volume.EmptyDir.SizeLimit.IsZero():
		default:
			t.Errorf("volume %s at %q is not the ConfigMap, the Secret for its group alone, or the small folder for what Caddy writes", volume.Name, path)
		}
	}
	for _, named := range []string{"{file./run/secrets/approov/approov.secret}", "admin unix//run/caddy/", "file /run/caddy/control.json"} {
		if !strings.Contains(text, named) {
			t.Errorf("the Caddyfile does not say %s, for which there is a mount", named)
		}
	}
	for _, variable := range gate.Env {
		if strings.HasPrefix(variable.Name, "XDG_") && variable.Value != "/run/caddy" {
			t.Errorf("%s is %s, want the only folder that Caddy may write to", variable.Name, variable.Value)
		}
	}
}

func TestCaddysDrainFitsIntoThePodsGrace(t *testing.T) {
	m := decode(t, caddyManifest)
	seconds := func(option string) int64 {
		found := regexp.MustCompile(option + ` (\d+)s\n`).FindStringSubmatch(m.config.Data["Caddyfile"])
		if found == nil {
			t.Fatalf("the Caddyfile has no %s in seconds", option)
		}
		n, err := strconv.ParseInt(found[1], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	m.drains(t, seconds("shutdown_delay"), seconds("grace_period"))
}
