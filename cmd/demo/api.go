package main

import (
	"encoding/json"
	"net/http"
	"sync"
)

// legacyAPI stands for the API that is protected without being touched: it knows nothing of tokens. It
// answers what it was asked, and which of the gate's headers came with it.
type legacyAPI struct {
	mu      sync.Mutex
	reached int // requests so far; guarded by mu
}

// seen is the API's answer.
type seen struct {
	Path    string `json:"path"`
	Verdict string `json:"x-approov-verdict"` // empty: the header was not there
	Token   bool   `json:"approov-token"`     // whether the token header got this far
}

func (a *legacyAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	a.reached++
	a.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	if r.Method == http.MethodOptions {
		w.Header().Set("Access-Control-Allow-Origin", "*")
		w.Header().Set("Access-Control-Allow-Headers", "Approov-Token, Authorization")
	}
	// A client that is gone cannot be told.
	_ = json.NewEncoder(w).Encode(seen{Path: r.URL.Path, Verdict: r.Header.Get("X-Approov-Verdict"),
		Token: len(r.Header.Values("Approov-Token")) > 0})
}

// count is how many requests the API has got.
func (a *legacyAPI) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.reached
}
