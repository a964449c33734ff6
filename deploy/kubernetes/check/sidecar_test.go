package check

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"

	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	"sigs.k8s.io/yaml"
)

// The manifests, of the sidecar and of Caddy in its place.
const sidecarManifest, caddyManifest = "../sidecar.yaml", "../../caddy/kubernetes.yaml"

// manifest is what such a file holds.
type manifest struct {
	config  core.ConfigMap
	api     apps.Deployment
	service core.Service
	policy  networking.NetworkPolicy
}

// each runs a test of what both manifests promise.
func each(t *testing.T, test func(t *testing.T, m manifest)) {
	for _, path := range []string{sidecarManifest, caddyManifest} {
		t.Run(path, func(t *testing.T) { test(t, decode(t, path)) })
	}
}

// decode reads a manifest strictly: a field that Kubernetes does not have, or has elsewhere, is an error.
func decode(t *testing.T, path string) manifest {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var m manifest
	want := map[string]any{
		"v1 ConfigMap": &m.config, "apps/v1 Deployment": &m.api, "v1 Service": &m.service, "networking.k8s.io/v1 NetworkPolicy": &m.policy,
	}
	for i, document := range bytes.Split(text, []byte("\n---\n"))[1:] {
		var kind struct{ APIVersion, Kind string }
		if err := yaml.Unmarshal(document, &kind); err != nil {
			t.Fatalf("document %d: %v", i+1, err)
		}
		name := kind.APIVersion + " " + kind.Kind
		into, ok := want[name]
		if !ok {
			t.Fatalf("document %d is a %q, want each of %d kinds once", i+1, name, len(want))
		}
		delete(want, name)
		if err := yaml.UnmarshalStrict(document, into); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name := range want {
		t.Errorf("%s has no %s", path, name)
	}
	return m
}

// containers are the gate, which must be the one sidecar, and the API.
func (m manifest) containers(t *testing.T) (gate, api core.Container) {
	t.Helper()
	pod := m.api.Spec.Template.Spec
	if len(pod.InitContainers) != 1 || len(pod.Containers) != 1 {
		t.Fatalf("got %d sidecars and %d containers, want one of each", len(pod.InitContainers), len(pod.Containers))
	}
	gate = pod.InitContainers[0]
	if gate.RestartPolicy == nil || *gate.RestartPolicy != core.ContainerRestartPolicyAlways {
		t.Errorf("the gate's restartPolicy is %v, want Always: an init container that ends would never let the API start", gate.RestartPolicy)
	}
	return gate, pod.Containers[0]
}

// seconds reads a duration of the gate file that stands in the ConfigMap.
func (m manifest) seconds(t *testing.T, key string) int64 {
	t.Helper()
	var file struct {
		Limits map[string]string
	}
	if err := yaml.Unmarshal([]byte(m.config.Data["gate.yaml"]), &file); err != nil {
		t.Fatal(err)
	}
	d, err := time.ParseDuration(file.Limits[key])
	if err != nil {
		t.Fatalf("limits.%s: %v", key, err)
	}
	return int64(d / time.Second)
}

func TestTheGateFileIsReadFromTheConfigMap(t *testing.T) {
	m := decode(t, sidecarManifest)
	gate, _ := m.containers(t)
	if got, want := strings.Join(gate.Args, " "), "run --config /etc/approovgate/gate.yaml"; got != want {
		t.Errorf("got arguments %q, want %q", got, want)
	}
	if m.config.Data["gate.yaml"] == "" {
		t.Error("the ConfigMap has no gate.yaml")
	}
	mounts := map[string]core.VolumeMount{}
	for _, mount := range gate.VolumeMounts {
		mounts[mount.MountPath] = mount
		if writable := mount.MountPath == "/run/approovgate"; mount.SubPath != "" || mount.ReadOnly == writable {
			t.Errorf("%s: got subPath %q, readOnly %v; want none, which would never be updated, and %v", mount.MountPath, mount.SubPath, mount.ReadOnly, !writable)
		}
	}
	for _, volume := range m.api.Spec.Template.Spec.Volumes {
		switch {
		case volume.ConfigMap != nil && mounts["/etc/approovgate"].Name == volume.Name:
			if volume.ConfigMap.Name != m.config.Name {
				t.Errorf("the gate's folder is ConfigMap %s, want %s", volume.ConfigMap.Name, m.config.Name)
			}
		case volume.Secret != nil && mounts["/run/secrets/approov"].Name == volume.Name:
			if mode := volume.Secret.DefaultMode; mode == nil || *mode != 0o440 {
				t.Errorf("the secret's defaultMode is %v, want 0440: its group alone reads it, and nobody writes it", mode)
			}
		case volume.EmptyDir != nil && mounts["/run/approovgate"].Name == volume.Name:
			if limit := volume.EmptyDir.SizeLimit; limit == nil || limit.IsZero() {
				t.Errorf("volume %s is as large as the node lets it, want a limit", volume.Name)
			}
		default:
			t.Errorf("volume %s is mounted nowhere in the gate, or is neither the ConfigMap, the Secret nor the folder for the switch", volume.Name)
		}
	}
	for _, named := range []string{"file:/run/secrets/approov/approov.secret", "unix:/run/approovgate/admin.sock", "/run/approovgate/control.json"} {
		if !strings.Contains(m.config.Data["gate.yaml"], named) {
			t.Errorf("gate.yaml does not name %s, for which there is a mount", named)
		}
	}
}

func TestOnlyTheGateHasTheSecret(t *testing.T) {
	each(t, func(t *testing.T, m manifest) {
		_, api := m.containers(t)
		if len(api.VolumeMounts) != 0 {
			t.Errorf("the API mounts %v, want nothing of the gate's", api.VolumeMounts)
		}
	})
}

// TestTheDrainFitsIntoThePodsGrace holds the order of a pod's end: the API's preStop, its own shutdown, and only then the
// gate, which gets its signal when every other container has ended.
func TestTheDrainFitsIntoThePodsGrace(t *testing.T) {
	m := decode(t, sidecarManifest)
	m.drains(t, m.seconds(t, "drain_delay"), m.seconds(t, "grace"))
}

// drains demands that delay and grace, in seconds, fit into the pod's end.
func (m manifest) drains(t *testing.T, delay, grace int64) {
	t.Helper()
	gate, api := m.containers(t)
	if probe := gate.ReadinessProbe; delay < int64(probe.PeriodSeconds*probe.FailureThreshold) {
		t.Errorf("the delay is %d s, want at least the %d s after which the readiness probe has failed", delay, probe.PeriodSeconds*probe.FailureThreshold)
	}
	if api.Lifecycle == nil || api.Lifecycle.PreStop == nil || api.Lifecycle.PreStop.Sleep == nil {
		t.Fatal("the API has no preStop sleep, so it is gone while requests still come in")
	}
	const apiShutdown = 10
	longest := api.Lifecycle.PreStop.Sleep.Seconds + apiShutdown + delay + grace
	if got := *m.api.Spec.Template.Spec.TerminationGracePeriodSeconds; got <= longest {
		t.Errorf("terminationGracePeriodSeconds is %d, want more than %d", got, longest)
	}
}

func TestProbesAskTheStatusPort(t *testing.T) {
	each(t, func(t *testing.T, m manifest) {
		gate, api := m.containers(t)
		for name, row := range map[string]struct {
			probe *core.Probe
			path  string
		}{"startup": {gate.StartupProbe, "/live"}, "readiness": {gate.ReadinessProbe, "/ready"}, "liveness": {gate.LivenessProbe, "/live"}} {
			if row.probe == nil || row.probe.HTTPGet == nil || row.probe.HTTPGet.Path != row.path || row.probe.HTTPGet.Port.String() != "status" {
				t.Errorf("the gate's %s probe: got %v, want GET %s on port status", name, row.probe, row.path)
			}
		}
		if probe := api.ReadinessProbe; probe == nil || probe.HTTPGet == nil || probe.HTTPGet.Port.IntValue() != int(port(gate, "gate")) {
			t.Errorf("the API's readiness probe: got %v, want it through the gate's port", probe)
		}
	})
}

// port is a container's port of a name.
func port(c core.Container, name string) int32 {
	for _, p := range c.Ports {
		if p.Name == name {
			return p.ContainerPort
		}
	}
	return 0
}

func TestContainersMayDoNothingButServe(t *testing.T) {
	each(t, func(t *testing.T, m manifest) {
		pod := m.api.Spec.Template.Spec
		if pod.AutomountServiceAccountToken == nil || *pod.AutomountServiceAccountToken {
			t.Error("the pod gets a service account's token, want none")
		}
		s := pod.SecurityContext
		if s == nil || s.RunAsNonRoot == nil || !*s.RunAsNonRoot || s.SeccompProfile == nil || s.SeccompProfile.Type != core.SeccompProfileTypeRuntimeDefault {
			t.Errorf("got the pod's securityContext %v, want runAsNonRoot and seccomp RuntimeDefault", s)
		}
		gate, api := m.containers(t)
		for _, c := range []core.Container{gate, api} {
			s := c.SecurityContext
			if s == nil || s.RunAsUser == nil || *s.RunAsUser == 0 || s.AllowPrivilegeEscalation == nil || *s.AllowPrivilegeEscalation ||
				s.ReadOnlyRootFilesystem == nil || !*s.ReadOnlyRootFilesystem || s.Capabilities == nil || len(s.Capabilities.Drop) != 1 ||
				s.Capabilities.Drop[0] != "ALL" || len(s.Capabilities.Add) != 0 {
				t.Errorf("%s: got securityContext %v, want a user, no escalation, a read-only root and no capabilities", c.Name, s)
			}
			if c.Resources.Limits.Memory().IsZero() || c.Resources.Requests.Cpu().IsZero() {
				t.Errorf("%s: got resources %v, want a limit of memory and a request of CPU", c.Name, c.Resources)
			}
		}
		if group := pod.SecurityContext.FSGroup; group == nil || *group != *gate.SecurityContext.RunAsGroup {
			t.Errorf("got fsGroup %v, want the gate's group: it reads the secret as that", group)
		}
	})
}

// TestTheMemoryGoAimsAtIsBelowTheLimit compares GOMEMLIMIT with the container's limit.
func TestTheMemoryGoAimsAtIsBelowTheLimit(t *testing.T) {
	each(t, func(t *testing.T, m manifest) {
		gate, _ := m.containers(t)
		limit := gate.Resources.Limits.Memory().Value() >> 20
		for _, v := range gate.Env {
			if v.Name == "GOMEMLIMIT" && v.Value == "200MiB" && limit == 256 {
				return
			}
		}
		t.Errorf("got environment %v under a limit of %d MiB, want GOMEMLIMIT=200MiB under 256", gate.Env, limit)
	})
}

// TestNothingButTheGateIsReachable: a port that no rule names is closed.
func TestNothingButTheGateIsReachable(t *testing.T) {
	each(t, func(t *testing.T, m manifest) {
		gate, _ := m.containers(t)
		for key, value := range m.policy.Spec.PodSelector.MatchLabels {
			if m.api.Spec.Template.Labels[key] != value {
				t.Errorf("the network policy selects %s=%s, which the pod does not carry", key, value)
			}
		}
		if types := m.policy.Spec.PolicyTypes; len(types) != 1 || types[0] != networking.PolicyTypeIngress {
			t.Errorf("got policy types %v, want Ingress", types)
		}
		for _, rule := range m.policy.Spec.Ingress {
			if len(rule.Ports) != 1 {
				t.Fatalf("got rule %v, want one port in each", rule)
			}
			switch got := rule.Ports[0].Port.IntValue(); got {
			case int(port(gate, "gate")):
			case int(port(gate, "status")):
				if len(rule.From) != 1 || rule.From[0].PodSelector == nil || rule.From[0].NamespaceSelector == nil {
					t.Errorf("the status port is open to %v, want Prometheus's pods in its namespace alone", rule.From)
				}
			default:
				t.Errorf("port %d is open, want the gate's and the status port only", got)
			}
		}
		if p := m.service.Spec.Ports; len(p) != 1 || p[0].TargetPort.String() != "gate" {
			t.Errorf("got service ports %v, want one that leads to the gate", p)
		}
	})
}
