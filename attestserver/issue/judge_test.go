package issue_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/approovgate/approovgate/attestserver/account"
	"github.com/approovgate/approovgate/attestserver/issue"
)

// rejectionMatrix is the manual's, with what was settled where it is silent: one row for each flag, one letter for
// each policy, P for pass.
const rejectionMatrix = `
flag                  default allow-xposed allow-root allow-root-and-jailbroken whitelist blacklist
-                     P       P            P          P                         P         R
tampered              R       R            R          R                         R         R
scan-fail             R       R            R          R                         R         R
bad-nonce             R       R            R          R                         R         R
bad-hmac              R       R            R          R                         R         R
app-not-registered    R       R            R          R                         P         R
debug                 R       R            R          R                         P         R
rooted                R       R            P          P                         P         R
magisk-man-hidden     R       R            P          P                         P         R
root-risk             R       R            P          P                         P         R
jailbroken            R       R            R          P                         P         R
emulator              R       R            R          P                         P         R
ios-simulator         R       R            R          P                         P         R
xposed                R       P            P          P                         P         R
xposed-unsafe         R       R            R          R                         P         R
frida                 R       R            R          R                         P         R
frida-hook            R       R            R          R                         P         R
cydia                 R       R            R          R                         P         R
cycript               R       R            R          R                         P         R
device-changed        R       R            R          R                         P         R
devices-exceeded      R       R            R          R                         P         R
devicecheck-ban       R       R            R          R                         R         R
init-config-outdated  P       P            P          P                         P         R
new-did               P       P            P          P                         P         R
devicecheck-apple-err P       P            P          P                         P         R
no-such-flag          R       R            R          R                         R         R
`

func TestRejectionMatrix(t *testing.T) {
	lines := strings.Split(strings.TrimSpace(rejectionMatrix), "\n")
	policies := strings.Fields(lines[0])[1:]
	seen := map[string]bool{}
	for _, line := range lines[1:] {
		cells := strings.Fields(line)
		var flags []string
		if cells[0] != "-" {
			flags = []string{cells[0]}
		}
		seen[cells[0]] = true
		for i, policy := range policies {
			want := cells[1+i] == "P"
			if got, _ := issue.Judge(account.Policy{Rejection: account.Rejection(policy)}, flags); got != want {
				t.Errorf("%s under %s: got pass %v, want %v", cells[0], policy, got, want)
			}
			// One rejected flag is enough, whatever stands beside it.
			beside := append([]string{"init-config-outdated", "new-did"}, flags...)
			if got, _ := issue.Judge(account.Policy{Rejection: account.Rejection(policy)}, beside); got != want {
				t.Errorf("%s beside harmless flags under %s: got pass %v, want %v", cells[0], policy, got, want)
			}
			if got, _ := issue.Judge(account.Policy{Rejection: account.Rejection(policy)}, append(slices.Clone(flags), "tampered")); got {
				t.Errorf("%s beside tampered under %s: got pass, want rejected", cells[0], policy)
			}
		}
		if got, _ := issue.Judge(account.Policy{}, flags); got != (cells[1] == "P") {
			t.Errorf("%s under no policy: got pass %v, want what default says", cells[0], got)
		}
		if got, _ := issue.Judge(account.Policy{Rejection: "no-such-policy"}, flags); got {
			t.Errorf("%s under an unknown policy: got pass, want rejected", cells[0])
		}
	}
	for _, flag := range issue.Flags() {
		if !seen[flag] {
			t.Errorf("%s: got no row in the test's matrix, want one", flag)
		}
	}
	if len(issue.Flags()) != 24 {
		t.Errorf("got %d flags, want the manual's 24", len(issue.Flags()))
	}
}

func TestAnnotations(t *testing.T) {
	const strings21 = "debug scan-fail tampered bad-nonce bad-hmac devices-exceeded device-changed app-not-registered rooted jailbroken " +
		"root-risk emulator ios-simulator xposed xposed-unsafe cydia frida cycript magisk-man-hidden init-config-outdated devicecheck-ban"
	all := issue.Flags()
	slices.Sort(all)
	for _, row := range []struct {
		name   string
		policy account.Annotation
		flags  []string
		want   string
	}{
		{"default annotates nothing", account.AnnotateNone, all, ""},
		{"the zero policy annotates nothing", "", all, ""},
		{"an unknown policy annotates nothing", "some", all, ""},
		{"xposed annotates one flag", account.AnnotateXposed, all, "xposed"},
		{"xposed without it annotates nothing", account.AnnotateXposed, []string{"rooted", "xposed-unsafe"}, ""},
		{"all annotates the manual's 21 in its order", account.AnnotateAll, all, strings21},
		{"all leaves out what is for metrics only", account.AnnotateAll, []string{"frida-hook", "frida", "new-did", "devicecheck-apple-err"}, "frida"},
		{"all with no flags annotates nothing", account.AnnotateAll, nil, ""},
		{"a flag that is named twice is annotated once", account.AnnotateAll, []string{"rooted", "rooted"}, "rooted"},
		{"an unknown flag is not annotated", account.AnnotateAll, []string{"no-such-flag"}, ""},
	} {
		_, anno := issue.Judge(account.Policy{Annotation: row.policy}, row.flags)
		if got := strings.Join(anno, " "); got != row.want {
			t.Errorf("%s: got %q, want %q", row.name, got, row.want)
		}
	}
	if pass, _ := issue.Judge(account.Policy{Rejection: account.RejectAllowRoot}, []string{"rooted", "rooted"}); !pass {
		t.Error("a flag that is named twice: got rejected, want what it is judged as once")
	}
}
