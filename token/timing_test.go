package token_test

import (
	"math"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/approovgate/approovgate/jose"
	"github.com/approovgate/approovgate/mint"
	"github.com/approovgate/approovgate/token"
)

const (
	timingVariable = "APPROOVGATE_TIMING"
	timingSamples  = 1_000_000
	timingLimit    = 4.5 // of Welch's |t|, as dudect takes it
)

// TestTiming measures whether the place of the first wrong character shows in the time a comparison takes. It
// needs a quiet machine, so it runs only when asked for.
func TestTiming(t *testing.T) {
	if os.Getenv(timingVariable) == "" {
		t.Skipf("not asked for; on a quiet machine run %s=1 go test -run TestTiming -v ./token", timingVariable)
	}
	key := []byte(strings.Repeat("test key, public ", 4))
	account, err := jose.NewHS256("account", "", key, false)
	if err != nil {
		t.Fatal(err)
	}
	ring, err := jose.NewRing([]jose.Key{account})
	if err != nil {
		t.Fatal(err)
	}
	signed, err := mint.Sign(jose.HS256, "", key, map[string]any{"exp": 1})
	if err != nil {
		t.Fatal(err)
	}
	start := strings.LastIndexByte(signed, '.') + 1
	pay := token.Pay([]byte("data"))
	for name, row := range map[string]struct {
		first, last string
		check       func(text string) bool
	}{
		"signature": {
			changedAt(signed, start), changedAt(signed, len(signed)-2),
			func(text string) bool { _, _, fault := ring.Open(text, 0, jose.Accept{JWS: true}); return fault == "" },
		},
		"pay": {changedAt(pay, 0), changedAt(pay, len(pay)-3), func(text string) bool { return token.Binds(text, "data") }},
	} {
		got := welch(row.first, row.last, row.check)
		t.Logf("%s: t = %.2f over %d samples", name, got, timingSamples)
		if math.Abs(got) >= timingLimit {
			t.Errorf("%s: got |t| = %.2f, want below %v", name, math.Abs(got), timingLimit)
		}
	}
}

// changedAt is text with one other character at a place.
func changedAt(text string, at int) string {
	other := "A"
	if text[at] == 'A' {
		other = "B"
	}
	return text[:at] + other + text[at+1:]
}

// welch times check on two texts in random order and returns Welch's t of the two distributions, with the slowest
// part, which the machine's other work makes, left out.
func welch(first, last string, check func(text string) bool) float64 {
	r := rand.New(rand.NewPCG(1, 2))
	texts := [2]string{first, last}
	const batch = 8 // calls that are timed together: the clock is coarser than one
	var times [2][]float64
	for i := 0; i < timingSamples; i++ {
		class := r.IntN(2)
		text := strings.Clone(texts[class])
		start := time.Now()
		for j := 0; j < batch; j++ {
			if check(text) {
				panic("a changed text was accepted")
			}
		}
		times[class] = append(times[class], float64(time.Since(start)))
	}
	limit := 2 * (mean(times[0]) + mean(times[1])) / 2
	var n, average, variance [2]float64
	for class, all := range times {
		var kept []float64
		for _, v := range all {
			if v < limit {
				kept = append(kept, v)
			}
		}
		n[class], average[class] = float64(len(kept)), mean(kept)
		for _, v := range kept {
			variance[class] += (v - average[class]) * (v - average[class]) / float64(len(kept)-1)
		}
	}
	return (average[0] - average[1]) / math.Sqrt(variance[0]/n[0]+variance[1]/n[1])
}

func mean(values []float64) float64 {
	sum := 0.0
	for _, v := range values {
		sum += v
	}
	return sum / float64(len(values))
}
