package engine_test

import (
	"strings"
	"testing"

	"github.com/approovgate/approovgate/engine"
	"github.com/approovgate/approovgate/token"
)

// bindingRow is a request to a route with a binding, and the data its token is bound to.
type bindingRow struct {
	name    string
	binding tree
	bound   string   // empty: the token has no pay
	headers []string // name and value in turn
	target  string   // empty: /
	want    engine.Reason
}

func from(sources ...any) tree { return tree{"from": sources} }

func checkBindings(t *testing.T, rows []bindingRow) {
	t.Helper()
	for _, row := range rows {
		claims := with(genuine(), tree{"pay": nil})
		if row.bound != "" {
			claims["pay"] = token.Pay([]byte(row.bound))
		}
		r := request(append([]string{"Approov-Token", signed(t, claims)}, row.headers...)...)
		if row.target != "" {
			r.Target = row.target
		}
		wantReason(t, row.name, compile(t, tree{"binding": row.binding}).Check(r), row.want)
	}
}

func TestHeaderBinding(t *testing.T) {
	auth := from("header:authorization")
	checkBindings(t, []bindingRow{
		{"the whole value is bound", auth, bearer, []string{"Authorization", bearer}, "", engine.OK},
		{"spaces and tabs around it are not", auth, bearer, []string{"Authorization", " \t" + bearer + " "}, "", engine.OK},
		{"another value", auth, bearer, []string{"Authorization", bearer + "x"}, "", engine.BindingMismatch},
		{"letter case counts", auth, bearer, []string{"Authorization", strings.ToLower(bearer)}, "", engine.BindingMismatch},
		{"no header", auth, bearer, nil, "", engine.BindingMissing},
		{"an empty header is missing", auth, bearer, []string{"Authorization", " "}, "", engine.BindingMissing},
		{"the same header twice", auth, bearer, []string{"Authorization", bearer, "Authorization", bearer}, "", engine.BindingRepeated},
		{"one of two empty", auth, bearer, []string{"Authorization", "", "Authorization", bearer}, "", engine.BindingRepeated},
		{"an alias of the header is not the header", auth, bearer, []string{"Authorization_", bearer}, "", engine.BindingMissing},
		{"16 KB of value", auth, strings.Repeat("x", 16384), []string{"Authorization", strings.Repeat("x", 16384)}, "", engine.OK},
		{"bytes beyond ASCII are bound as they are", auth, "\xe9\xff", []string{"Authorization", "\xe9\xff"}, "", engine.OK},
		{"two headers are joined in the order of the policy", from("header:A", "header:B"), "12", []string{"B", "2", "A", "1"}, "", engine.OK},
		{"each of two headers is trimmed", from("header:A", "header:B"), "12", []string{"A", "1 ", "B", " 2"}, "", engine.OK},
		{"one of two headers missing", from("header:A", "header:B"), "1", []string{"A", "1"}, "", engine.BindingMissing},
		{"a constant stands where it is listed", from("const:v1|", "header:A"), "v1|1", []string{"A", "1"}, "", engine.OK},
		{"a constant is not trimmed", from("header:A", "const: "), "1 ", []string{"A", "1"}, "", engine.OK},
		{"Cookie lines count as one header", from("header:Cookie"), "a=1; b=2", []string{"Cookie", "a=1", "Cookie", "b=2"}, "", engine.OK},
	})
}

func TestTrimScheme(t *testing.T) {
	trim := with(from("header:Authorization"), tree{"trim_scheme": true})
	checkBindings(t, []bindingRow{
		{"the credential alone is bound", trim, "a-credential", []string{"Authorization", bearer}, "", engine.OK},
		{"several spaces behind the scheme", trim, "a-credential", []string{"Authorization", "Bearer   a-credential"}, "", engine.OK},
		{"the whole value is not what is bound", trim, bearer, []string{"Authorization", bearer}, "", engine.BindingMismatch},
		{"a value without a scheme is bound as it is", trim, "a-credential", []string{"Authorization", "a-credential"}, "", engine.OK},
		{"only the first word is taken off", trim, "b c", []string{"Authorization", "a b c"}, "", engine.OK},
		{"twice is refused all the same", trim, "a-credential", []string{"Authorization", bearer, "Authorization", bearer}, "", engine.BindingRepeated},
	})
}

func TestCookieBinding(t *testing.T) {
	session := from("cookie:session")
	checkBindings(t, []bindingRow{
		{"the value of the cookie is bound", session, "s1", []string{"Cookie", "a=b; session=s1; c=d"}, "", engine.OK},
		{"crumbs of HTTP/2 are searched through", session, "s1", []string{"Cookie", "a=b", "Cookie", "session=s1"}, "", engine.OK},
		{"a value may hold an equals sign", session, "s1==", []string{"Cookie", "session=s1=="}, "", engine.OK},
		{"quotes belong to the value", session, `"s1"`, []string{"Cookie", `session="s1"`}, "", engine.OK},
		{"no space behind the semicolon", session, "s1", []string{"Cookie", "a=b;session=s1"}, "", engine.OK},
		{"names count letter case", session, "s1", []string{"Cookie", "Session=s1"}, "", engine.BindingMissing},
		{"no cookie of the name", session, "s1", []string{"Cookie", "xsession=s1"}, "", engine.BindingMissing},
		{"no Cookie header", session, "s1", nil, "", engine.BindingMissing},
		{"an empty cookie is missing", session, "s1", []string{"Cookie", "session="}, "", engine.BindingMissing},
		{"twice in one line", session, "s1", []string{"Cookie", "session=s1; session=s2"}, "", engine.BindingRepeated},
		{"twice in two lines, the same value", session, "s1", []string{"Cookie", "session=s1", "Cookie", "session=s1"}, "", engine.BindingRepeated},
		{"once with and once without a value", session, "s1", []string{"Cookie", "session; session=s1"}, "", engine.BindingRepeated},
		{"another value", session, "s1", []string{"Cookie", "session=s2"}, "", engine.BindingMismatch},
	})
}

func TestQueryBinding(t *testing.T) {
	user := from("query:user")
	checkBindings(t, []bindingRow{
		{"the value of the parameter is bound", user, "u1", nil, "/?a=b&user=u1&c=d", engine.OK},
		{"the value is decoded", user, "u 1&", nil, "/?user=u%201%26", engine.OK},
		{"a plus is a space", user, "u 1", nil, "/?user=u+1", engine.OK},
		{"the name is decoded", user, "u1", nil, "/?%75ser=u1", engine.OK},
		{"names count letter case", user, "u1", nil, "/?User=u1", engine.BindingMissing},
		{"no query", user, "u1", nil, "/", engine.BindingMissing},
		{"an empty value is missing", user, "u1", nil, "/?user=", engine.BindingMissing},
		{"no value is missing", user, "u1", nil, "/?user", engine.BindingMissing},
		{"twice", user, "u1", nil, "/?user=u1&user=u2", engine.BindingRepeated},
		{"twice, once spelt with an escape", user, "u1", nil, "/?user=u1&u%73er=u2", engine.BindingRepeated},
		{"a second one behind a semicolon", user, "u1", nil, "/?user=u1;user=u2", engine.BindingRepeated},
		{"a second one behind a semicolon of another parameter", user, "u1", nil, "/?user=u1&a=b;user=u2", engine.BindingRepeated},
		{"a value that a semicolon may end", user, "u1", nil, "/?user=u1;x=y", engine.BindingRepeated},
		{"a value whose escapes are broken", user, "u1", nil, "/?user=u1%zz", engine.BindingRepeated},
		{"a second question mark is part of the query", user, "u1", nil, "/?a?user=u1", engine.BindingMissing},
		{"a question mark in the value is part of it", user, "u1?x", nil, "/?user=u1?x", engine.OK},
		{"the query of an absolute target", user, "u1", nil, "http://api.example.com?user=u1", engine.OK},
	})
}

func TestAbsentAndMissingPay(t *testing.T) {
	none := with(from("header:Authorization", "cookie:s"), tree{"absent": "const:none"})
	failover := with(from("header:Authorization"), tree{"missing_pay": "failover"})
	accept := with(from("header:Authorization"), tree{"missing_pay": "accept"})
	checkBindings(t, []bindingRow{
		{"the known value is bound when all sources are missing", none, "none", nil, "", engine.OK},
		{"not when one of them is there", none, "none", []string{"Authorization", bearer}, "", engine.BindingMissing},
		{"all of them are bound when they are there", none, bearer + "1", []string{"Authorization", bearer, "Cookie", "s=1"}, "", engine.OK},
		{"a repeated source is not a missing one", none, "none", []string{"Authorization", "a", "Authorization", "b"}, "", engine.BindingRepeated},
		{"a token bound to data, sent without the data", none, bearer + "1", nil, "", engine.BindingMismatch},
		{"no pay is refused by default", from("header:Authorization"), "", []string{"Authorization", bearer}, "", engine.PayMissing},
		{"no pay is judged before the data", from("header:Authorization"), "", nil, "", engine.PayMissing},
		{"no pay with a device is no failover token", failover, "", []string{"Authorization", bearer}, "", engine.PayMissing},
		{"no pay may be accepted", accept, "", nil, "", engine.OK},
		{"a wrong pay is never accepted", accept, "x", []string{"Authorization", bearer}, "", engine.BindingMismatch},
	})
	r := request("Approov-Token", signed(t, tree{"exp": noon.Unix() + 1, "iss": "failover"}), "Authorization", bearer)
	got := compile(t, tree{"binding": failover}).Check(r)
	wantReason(t, "no pay and no device is a failover token", got, engine.OK)
	if !got.Unbound {
		t.Error("a failover token: got bound, want unbound")
	}
}

func TestPayIsComparedAsItIsSpelt(t *testing.T) {
	right := token.Pay([]byte(bearer))
	e := compile(t, tree{"binding": from("header:Authorization")})
	for _, row := range []struct {
		name string
		pay  any
		want engine.Reason
	}{
		{"standard base64 with padding", right, engine.OK},
		{"without padding", strings.TrimRight(right, "="), engine.BindingMismatch},
		{"in the URL alphabet", strings.NewReplacer("+", "-", "/", "_").Replace(right) + "=", engine.BindingMismatch},
		{"with space", right + " ", engine.BindingMismatch},
		{"empty", "", engine.BindingMismatch},
		{"a number", 1, engine.ClaimInvalid},
		{"false", false, engine.ClaimInvalid},
		{"of another header", token.Pay([]byte("other")), engine.BindingMismatch},
	} {
		r := request("Approov-Token", signed(t, with(genuine(), tree{"pay": row.pay})), "Authorization", bearer)
		wantReason(t, "pay "+row.name, e.Check(r), row.want)
	}
}

func TestRoutesHaveBindingsOfTheirOwn(t *testing.T) {
	e := compile(t, tree{"binding": from("header:Authorization"), "routes": []any{
		tree{"name": "free", "paths": "/free", "binding": "none"},
		tree{"name": "other", "paths": "/other", "binding": from("header:X-Device")},
	}})
	for _, row := range []struct {
		name, target string
		want         engine.Reason
	}{
		{"the policy's binding holds where no route matches", "/", engine.OK},
		{"none clears it", "/free", engine.OK},
		{"another one replaces it", "/other", engine.BindingMissing},
	} {
		r := request("Approov-Token", signed(t, genuine()), "Authorization", bearer)
		r.Target = row.target
		wantReason(t, row.name, e.Check(r), row.want)
	}
}
