package jose_test

import (
	"bytes"
	"compress/flate"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/approovgate/approovgate/jose"
	"github.com/approovgate/approovgate/mint"
)

// allocated is how many bytes one call of f allocates, the mean of many.
func allocated(f func()) int {
	const rounds = 50
	f() // fills pools
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for i := 0; i < rounds; i++ {
		f()
	}
	runtime.ReadMemStats(&after)
	return int(after.TotalAlloc-before.TotalAlloc) / rounds
}

const (
	maxToken   = 8192     // characters, the default of token.max_bytes
	maxHostile = 32 << 10 // bytes that a hostile HS256 or JWE token may have allocated
)

// fill is text that brings a JSON template with one %s to a size.
func fill(template, with string, size int) string {
	n := (size - len(template) + 2) / len(with)
	return fmt.Sprintf(template, strings.Repeat(with, n))
}

// hostileTokens are the dearest tokens of at most 8,192 characters we could think of, by what they do.
func hostileTokens(t testing.TB) map[string]string {
	const short = `{"alg":"HS256"}`
	var names strings.Builder
	for i := 0; i < 56; i++ {
		fmt.Fprintf(&names, `,"\u0061%d":0`, i)
	}
	many := strings.Replace(short, "}", names.String()+"}", 1)
	text := strings.Repeat("x", 5900)
	long := sign(t, fill(`{"alg":"HS256","kid":"%s"}`, `\n`, 1536))
	right, err := mint.SignRaw(jose.HS256, secret(t, "account"), short, text)
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := mint.EncryptRaw(secret(t, "account"), nil, goodJWE, text)
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := mint.EncryptRaw(secret(t, "foreign"), nil, goodJWE, text)
	if err != nil {
		t.Fatal(err)
	}
	wide, err := mint.EncryptRaw(secret(t, "account"), nil, with(`"kid":"`+strings.Repeat(`\n`, 650)+`"`), strings.Repeat("x", 4400))
	if err != nil {
		t.Fatal(err)
	}
	return map[string]string{
		"a signed payload of 5,900 bytes":                    right,
		"a badly signed payload of 5,900 bytes":              right[:len(right)-1] + "!",
		"a kid of escapes in the longest header":             long,
		"56 escaped names in the header":                     sign(t, many),
		"32 nested lists in the header":                      sign(t, `{"alg":"HS256","x":`+strings.Repeat("[", 31)+strings.Repeat("]", 31)+`}`),
		"a signature of 8,000 characters":                    b64(short) + ".AAAA." + strings.Repeat("A", 8000),
		"a header of 8,000 characters":                       strings.Repeat("A", 8000) + ".AAAA.AAAA",
		"8,192 dots":                                         strings.Repeat(".", maxToken),
		"an encrypted payload of 5,900 bytes":                sealed,
		"an encrypted payload of 5,900 bytes, last tag byte": sealed[:len(sealed)-4] + "AAAA",
		"an encrypted payload of a foreign key":              foreign,
		"an encrypted payload under the longest header":      wide,
		"an encrypted key of 7,700 characters":               replacePart(seal(t, goodJWE), 1, strings.Repeat("A", 7700)),
		"an initialisation vector of 7,700 characters":       replacePart(seal(t, goodJWE), 2, strings.Repeat("A", 7700)),
	}
}

func replacePart(text string, at int, part string) string {
	parts := strings.Split(text, ".")
	parts[at] = part
	return strings.Join(parts, ".")
}

// hostileRings are the rings that hostile tokens meet: one key, and the most that are ever tried.
func hostileRings(t testing.TB) map[string]*jose.Ring {
	return map[string]*jose.Ring{
		"one key":   ringOf(t, hs256(t, "account", "")),
		"four keys": ringOf(t, hs256(t, "next", ""), hs256(t, "retired", ""), hs256(t, "newline", ""), hs256(t, "account", "")),
	}
}

// TestHostileTokensAllocateLittle bounds memory. Time is measured by BenchmarkHostile, not asserted: tests do not
// depend on a free machine.
func TestHostileTokensAllocateLittle(t *testing.T) {
	for size, ring := range hostileRings(t) {
		for name, text := range hostileTokens(t) {
			if len(text) > maxToken {
				t.Errorf("%s: got a token of %d characters, want at most %d", name, len(text), maxToken)
			}
			got := allocated(func() { ring.Open(text, 0, anyForm) })
			if got > maxHostile {
				t.Errorf("%s with %s: got %d bytes allocated, want at most %d", name, size, got, maxHostile)
			}
		}
	}
}

// TestUnboundedTokensAllocateNothing: tokens are bounded by the caller, but one that is not must not cost memory
// before it is known to have three or five parts and a short header.
func TestUnboundedTokensAllocateNothing(t *testing.T) {
	ring := ringOf(t, hs256(t, "account", ""))
	for name, text := range map[string]string{
		"1 MB of dots":                    strings.Repeat(".", 1<<20),
		"8 KB of dots":                    strings.Repeat(".", 8<<10),
		"1 MB without dots":               strings.Repeat("A", 1<<20),
		"a header of 10 MB":               strings.Repeat("A", 10<<20) + ".A.A",
		"a header of 10 MB in five parts": strings.Repeat("A", 10<<20) + ".A.A.A.A",
		"a second part of 1 MB of dots":   b64(`{"alg":"HS256"}`) + strings.Repeat(".A", 1<<19),
	} {
		if got := testing.AllocsPerRun(10, func() { ring.Open(text, 0, anyForm) }); got != 0 {
			t.Errorf("%s: got %v allocations, want 0", name, got)
		}
		if _, _, fault := ring.Open(text, 0, anyForm); fault != jose.Malformed {
			t.Errorf("%s: got %q, want %q", name, fault, jose.Malformed)
		}
	}
}

// TestCompressionIsNeverUndone: a small text that inflates to 5 MB, rightly encrypted.
func TestCompressionIsNeverUndone(t *testing.T) {
	var bomb bytes.Buffer
	w, err := flate.NewWriter(&bomb, flate.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	zeros := make([]byte, 1<<20)
	for i := 0; i < 5; i++ {
		if _, err := w.Write(zeros); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	ring := ringOf(t, hs256(t, "account", ""))
	for name, plain := range map[string]string{"a bomb of 5 MB": bomb.String(), "a small valid one": "\xab\x56\x4a\xad\x28\x50\xb2\x32\x34\x04\x00"} {
		text, err := mint.EncryptRaw(secret(t, "account"), nil, with(`"zip":"DEF"`), plain)
		if err != nil {
			t.Fatal(err)
		}
		if len(text) > maxToken {
			t.Errorf("%s: got a token of %d characters, want at most %d", name, len(text), maxToken)
		}
		if _, _, fault := ring.Open(text, 0, anyForm); fault != jose.AlgorithmRefused {
			t.Errorf("%s: got %q, want %q", name, fault, jose.AlgorithmRefused)
		}
		if got := allocated(func() { ring.Open(text, 0, anyForm) }); got > 4<<10 {
			t.Errorf("%s: got %d bytes allocated, want at most %d", name, got, 4<<10)
		}
	}
}

// BenchmarkHostile reports what the dearest tokens cost; the bound to hold is 50 µs and 32 KB each.
func BenchmarkHostile(b *testing.B) {
	for size, ring := range hostileRings(b) {
		for name, text := range hostileTokens(b) {
			b.Run(size+"/"+name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					ring.Open(text, 0, anyForm)
				}
			})
		}
	}
}
