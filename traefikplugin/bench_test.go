package traefikplugin

import (
	"encoding/base64"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"testing"
)

// BenchmarkNew makes one middleware after another, each of another name: what a reload of Traefik waits for.
func BenchmarkNew(b *testing.B) {
	file := filepath.Join(b.TempDir(), "approov.secret")
	if err := os.WriteFile(file, []byte(base64.StdEncoding.EncodeToString([]byte(secret))), 0o600); err != nil {
		b.Fatal(err)
	}
	old := shared
	shared = &gates{all: map[string]*running{}, kin: old.kin, listeners: map[string]*figureServer{}}
	defer func() { shared = old }()
	for i := 0; b.Loop(); i++ {
		c := Config{"name": "bench", "secretFile": file, "routes": []interface{}{map[string]interface{}{"name": "pay", "paths": "/pay"}}}
		if _, err := New(b.Context(), http.NotFoundHandler(), &c, strconv.Itoa(i%100)+"@file"); err != nil {
			b.Fatal(err)
		}
		key := strconv.Itoa(i%100) + "@file\x00" + idOf(c)
		shared.all[key].gate.Close()
		delete(shared.all, key) // so that the next of this name is made, too
	}
}
