package main

import (
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
)

// gateFile is what the demo's gate runs on: the same file a real gate is given.
const gateFile = `# The demo's gate. Edit it while the demo runs: the policy is read again within 5 seconds.
listen: %s
upstream: http://%s
status: %s
admin: unix:%s
log: {level: debug}

policy:
  keys:
    - {name: account, alg: HS256, secret: "file:account.secret", jwe: true}
  routes:
    - {name: health, paths: [/healthz], check: none}
    - {name: transfers, paths: [/v1/transfers], binding: {from: ["header:Authorization"]}}
    - {name: accounts, paths: [/v1/accounts/**], binding: {from: ["header:Authorization"], missing_pay: failover}}
    - {name: vault, paths: [/v1/vault], format: jwe}
    - {name: beta, paths: [/beta/**], mode: log}
  # Everything else needs a valid token.
`

// secretFile is the account's secret, which the gate and the attestation service share.
const secretFile = "account.secret"

// writeGateFile writes the gate's file and secret into dir and returns the file's path.
func writeGateFile(dir string, a account, listen, upstream, status string) (string, error) {
	secret := base64.StdEncoding.EncodeToString(a.secret)
	if err := os.WriteFile(filepath.Join(dir, secretFile), []byte(secret+"\n"), 0o600); err != nil {
		return "", err
	}
	path := filepath.Join(dir, "gate.yaml")
	return path, os.WriteFile(path, fmt.Appendf(nil, gateFile, listen, upstream, status, adminSocket(path)), 0o600)
}

// adminSocket is where the gate of a file takes commands.
func adminSocket(file string) string { return filepath.Join(filepath.Dir(file), "admin.sock") }
