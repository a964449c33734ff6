package conformance

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// SecretsInFiles is a policy whose inline secrets are in files of a folder, for hosts that refuse inline ones. What
// is no JSON, or no list of keys, stays as it is.
func SecretsInFiles(policy, folder string) (string, error) {
	var tree map[string]any
	if err := json.Unmarshal([]byte(policy), &tree); err != nil {
		return policy, nil // the host under test says what is wrong with it
	}
	keys, _ := tree["keys"].([]any)
	for i, item := range keys {
		key, _ := item.(map[string]any)
		reference, _ := key["secret"].(string)
		text, isInline := strings.CutPrefix(reference, "inline:")
		if !isInline || text == "" {
			continue
		}
		path := filepath.Join(folder, fmt.Sprintf("secret-%d", i))
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return "", err
		}
		key["secret"] = "file:" + path
	}
	moved, err := json.Marshal(tree)
	return string(moved), err
}
