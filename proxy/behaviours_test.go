package proxy

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// libraryBehaviours says, for each test that Go has of its own ReverseProxy, which test of ours holds the gate to the
// same behaviour, whatever forwards the request, or why there is none: a reason has a blank in it.
var libraryBehaviours = map[string]string{
	"TestReverseProxy": "TestHopByHopFieldsOfRequestsEndHere TestHopByHopFieldsOfResponsesEndHere TestResponsesPassUnchanged",
	"TestReverseProxyStripHeadersPresentInConnection":                 "TestHopByHopFieldsOfRequestsEndHere TestHopByHopFieldsOfResponsesEndHere",
	"TestReverseProxyStripEmptyConnection":                            "TestHopByHopFieldsOfRequestsEndHere",
	"TestXForwardedFor":                                               "TestForwardedFieldsAreTheGates",
	"TestXForwardedFor_Omit":                                          "not possible here: the gate always says where a request came from",
	"TestReverseProxyRewriteStripsForwarded":                          "TestForwardedFieldsAreTheGates TestClientsCannotSpeakForTheGate",
	"TestReverseProxyQuery":                                           "TestQueryPassesByteForByte",
	"TestReverseProxyFlushInterval":                                   "TestResponsesStream TestEachByteArrivesAtOnce",
	"TestReverseProxyResponseControllerFlushInterval":                 "TestEachByteArrivesAtOnce",
	"TestReverseProxyFlushIntervalHeaders":                            "TestResponseHeadDoesNotWaitForTheBody",
	"TestReverseProxyCancellation":                                    "TestHangUpsArePassedOn TestClientThatHangsUpIsNoFault",
	"TestNilBody":                                                     "TestBodilessResponses",
	"TestUserAgentHeader":                                             "TestUserAgentIsTheClients",
	"TestReverseProxyGetPutBuffer":                                    "TestNoAnswerReachesAnotherClient TestLargeBodiesInLittleMemory",
	"TestReverseProxy_Post":                                           "TestRequestsKeepTheirFraming TestLargeBodiesInLittleMemory",
	"TestReverseProxy_NilBody":                                        "TestRequestsKeepTheirFraming",
	"TestReverseProxy_AllocatedHeader":                                "about the library's API: over sockets a request always has a header",
	"TestReverseProxyModifyResponse":                                  "about the library's API: the gate changes no response",
	"TestReverseProxyErrorHandler":                                    "TestUpstreamFailures TestHostileUpstreams",
	"TestReverseProxy_CopyBuffer":                                     "TestTornResponsesStayTorn",
	"TestServeHTTPDeepCopy":                                           "about the library's API: the gate may change the request it was given, since nobody reads it afterwards",
	"TestClonesRequestHeaders":                                        "about the library's API: as the one before",
	"TestModifyResponseClosesBody":                                    "about the library's API: the gate changes no response",
	"TestReverseProxy_PanicBodyError":                                 "TestTornResponsesStayTorn TestTornRequestsStayTorn",
	"TestReverseProxy_PanicClosesIncomingBody":                        "TestTornResponsesStayTorn TestAnswersDoNotWaitForABodyForever",
	"TestSelectFlushInterval":                                         "TestEachByteArrivesAtOnce TestResponseHeadDoesNotWaitForTheBody",
	"TestReverseProxyWebSocket":                                       "TestUpgradedConnectionCarriesBytesBothWays TestBytesBehindAnUpgradeAreNotLost TestUpgradesThatTheBackendDeclines",
	"TestReverseProxyWebSocketCancellation":                           "TestUpgradedConnectionsEnd",
	"TestReverseProxyWebSocketHalfTCP":                                "TestUpgradedConnectionsEnd",
	"TestReverseProxyUpgradeNoCloseWrite":                             "TestUpgradedConnectionsEnd",
	"TestUnannouncedTrailer":                                          "TestTrailers",
	"TestSetURL":                                                      "about the library's API: the upstream has no path, see TestForwardsTheRequestAsItWasChecked",
	"TestSingleJoinSlash":                                             "about the library's API: as TestSetURL",
	"TestJoinURLPath":                                                 "about the library's API: as TestSetURL",
	"TestReverseProxyRewriteReplacesOut":                              "about the library's API",
	"Test1xxHeadersNotModifiedAfterRoundTrip":                         "TestInterimResponses",
	"Test1xxResponses":                                                "TestInterimResponses TestHTTP10GetsNoInterimResponses TestEndlessInterimResponses",
	"TestReverseProxyQueryParameterSmugglingRewrite":                  "TestQueryPassesByteForByte",
	"TestReverseProxyHijackCopyError":                                 "TestUpgradedConnectionsEnd",
	"TestReverseProxyInvalidUpstream100ContinueDoNotHang":             "TestExpectContinue",
	"TestReverseProxyQueryParameterSmugglingDirectorDoesNotParseForm": "TestQueryPassesByteForByte",
	"TestReverseProxyQueryParameterSmugglingDirectorParsesForm":       "TestQueryPassesByteForByte",
	"TestReverseProxyQueryParameterSmugglingRewritePreservesRawQuery": "TestQueryPassesByteForByte",
}

// TestLibraryBehavioursAreHeld: each test that the table names exists, and where Go's own tests are installed, the table
// has all of them.
func TestLibraryBehavioursAreHeld(t *testing.T) {
	ours := map[string]bool{}
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		for _, name := range testsIn(t, file) {
			ours[name] = true
		}
	}
	for theirs, what := range libraryBehaviours {
		if !strings.HasPrefix(what, "Test") {
			continue // a reason
		}
		for _, name := range strings.Fields(what) {
			if !ours[name] {
				t.Errorf("%s: got no test %s in this package, want it", theirs, name)
			}
		}
	}
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(strings.TrimSpace(string(root)), "src", "net", "http", "httputil", "reverseproxy_test.go")
	if _, err := os.Stat(file); err != nil {
		t.Logf("Go's own tests are not installed, so that the table's completeness is not checked: %v", err)
		return
	}
	for _, name := range testsIn(t, file) {
		if libraryBehaviours[name] == "" {
			t.Errorf("%s: got no row in the table, want one", name)
		}
	}
}

// testsIn are the names of a file's tests.
func testsIn(t *testing.T, file string) []string {
	t.Helper()
	tree, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, declaration := range tree.Decls {
		if f, ok := declaration.(*ast.FuncDecl); ok && f.Recv == nil && strings.HasPrefix(f.Name.Name, "Test") {
			names = append(names, f.Name.Name)
		}
	}
	return names
}
