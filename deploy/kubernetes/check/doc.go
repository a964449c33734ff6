// Package check reads the manifests of the folder above as Kubernetes would, with Kubernetes's own types, and holds what
// they promise about drain, secrets and isolation. It has no code, and is a module of its own because the root module
// must not depend on Kubernetes.
package check
