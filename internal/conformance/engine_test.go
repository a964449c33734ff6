package conformance_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/approovgate/approovgate/engine"
	"github.com/approovgate/approovgate/internal/conformance"
)

const vectors = "../../testdata/vectors"

func load(t testing.TB) []conformance.Case {
	t.Helper()
	cases, err := conformance.Load(filepath.FromSlash(vectors))
	if err != nil {
		t.Fatal(err)
	}
	return cases
}

func TestEngineAnswersTheCorpus(t *testing.T) {
	runEngine(t, &conformance.Engine{})
}

// TestEngineWithCacheAnswersTheCorpus proves that a cache changes no verdict. Each case is asked twice: the second
// answer comes from the cache where there is anything to cache.
func TestEngineWithCacheAnswersTheCorpus(t *testing.T) {
	caches := 0
	e := &conformance.Engine{NewCache: func() engine.Cache { caches++; return mapCache{} }}
	runEngine(t, e)
	runEngine(t, e)
	if caches == 0 {
		t.Error("got no cache made, want one for each engine")
	}
}

type mapCache map[string]any

func (c mapCache) Get(key string) (any, bool) { value, ok := c[key]; return value, ok }
func (c mapCache) Add(key string, value any)  { c[key] = value }

func runEngine(t *testing.T, e *conformance.Engine) {
	for _, c := range conformance.AllSizes(load(t)) {
		t.Run(c.File, func(t *testing.T) {
			differences, err := e.Differences(c)
			if err != nil {
				t.Fatal(err)
			}
			for _, difference := range differences {
				t.Errorf("%s: %s", c.Name, difference)
			}
		})
	}
}

// laterReasons belong to checks that are not built yet: message signatures.
var laterReasons = []engine.Reason{
	engine.SignatureMissing, engine.SignatureUncovered, engine.SignatureExpired, engine.SignatureWrong,
}

func TestEveryReasonHasVectors(t *testing.T) {
	seen := map[string]int{}
	for _, c := range load(t) {
		seen[c.Want.Reason]++
	}
	later := map[engine.Reason]bool{}
	for _, r := range laterReasons {
		later[r] = true
	}
	for _, r := range engine.Reasons() {
		n := seen[string(r)]
		if later[r] && n > 0 {
			t.Errorf("%s: got %d vectors for a later reason, want none: take it off the list", r, n)
		}
		if !later[r] && n < 2 {
			t.Errorf("%s: got %d vectors, want at least 2", r, n)
		}
		delete(seen, string(r))
	}
	delete(seen, "") // refused by net/http or with the policy
	for r, n := range seen {
		t.Errorf("%s: got %d vectors, want none: it is no reason", r, n)
	}
}

// rows are the rows of the threat table that concern tokens, claims, keys, targets, hosts and headers, and where
// they are proved: "" means here, by cases whose about names the row.
var rows = map[string]string{
	"T1": "", "T2": "", "T3": "", "T4": "", "T5": "", "T6": "", "T7": "", "T8": "", "T9": "", "T10": "", "T11": "", "T12": "",
	"T13": "jose and token: constant-time comparison, which a verdict cannot show",
	"T14": "", "T15": "",
	"T20": "", "T21": "", "T22": "", "T23": "", "T24": "", "T25": "",
	"T26": "accepted by design: every host answers the same token many times over in this corpus",
	"T27": "", "T40": "", "T41": "", "T42": "", "T43": "", "T44": "",
	"T45": "proxy and internal/yaegitest: each host runs this corpus",
	"T50": "", "T51": "", "T52": "", "T53": "", "T54": "", "T55": "", "T56": "", "T57": "",
}

func TestEveryRowHasVectors(t *testing.T) {
	seen := map[string]int{}
	for _, c := range load(t) {
		for _, item := range c.About {
			seen[item]++
		}
	}
	for row, elsewhere := range rows {
		if elsewhere == "" && seen[row] == 0 {
			t.Errorf("%s: got no vector, want at least one", row)
		}
		if elsewhere != "" && seen[row] > 0 {
			t.Errorf("%s: got %d vectors, want none: it is said to be proved elsewhere: %s", row, seen[row], elsewhere)
		}
	}
}

func TestCorpusIsLargeEnough(t *testing.T) {
	cases := load(t)
	folders := map[string]int{}
	for _, c := range cases {
		folder, _, _ := strings.Cut(c.File, "/")
		folders[folder]++
	}
	if len(cases) < 300 {
		t.Errorf("got %d cases, want at least 300", len(cases))
	}
	for _, folder := range []string{"token", "claims", "binding", "targets", "hosts", "headers", "keys", "modes", "rules"} {
		if folders[folder] < 10 {
			t.Errorf("%s: got %d cases, want at least 10", folder, folders[folder])
		}
	}
}

// TestEngineSeesDifferences breaks each expectation of a case in turn and wants the runner to notice.
func TestEngineSeesDifferences(t *testing.T) {
	whole := conformance.Case{}
	for _, c := range load(t) {
		if c.File == "headers/verdict" {
			whole = c
		}
	}
	if whole.File == "" {
		t.Fatal("got no case headers/verdict, want one to break")
	}
	for name, change := range map[string]func(w *conformance.Want){
		"verdict": func(w *conformance.Want) { w.Verdict = "fail" },
		"action":  func(w *conformance.Want) { w.Action = "reject" },
		"reason":  func(w *conformance.Want) { w.Reason = "exempt" },
		"status":  func(w *conformance.Want) { w.Status = 401 },
		"mode":    func(w *conformance.Want) { w.Mode = "log" },
		"route":   func(w *conformance.Want) { w.Route = "x" },
		"key":     func(w *conformance.Want) { w.Key = "-" },
		"unbound": func(w *conformance.Want) { w.Unbound = true },
		"target":  func(w *conformance.Want) { w.Target = "/x" },
		"host":    func(w *conformance.Want) { w.Host = "x" },
		"header": func(w *conformance.Want) {
			w.Headers = []conformance.HeaderExpect{{Name: "X-Approov-Verdict", Value: "fail"}}
		},
		"absent": func(w *conformance.Want) {
			w.Headers = []conformance.HeaderExpect{{Name: "X-Approov-Verdict", Value: "absent"}}
		},
		"present": func(w *conformance.Want) {
			w.Headers = []conformance.HeaderExpect{{Name: "Approov-Token", Value: "present"}}
		},
		"by the host":   func(w *conformance.Want) { *w = conformance.Want{RefusedBy: "host", Action: "reject", Status: 400} },
		"by the policy": func(w *conformance.Want) { *w = conformance.Want{RefusedBy: "policy", Problem: "keys"} },
	} {
		c := whole
		change(&c.Want)
		differences, err := new(conformance.Engine).Differences(c)
		if err != nil {
			t.Fatal(err)
		}
		if len(differences) == 0 {
			t.Errorf("%s: got no difference, want one", name)
		}
	}
}
