package jose_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"
)

// TestSecretsAreComparedInConstantTime reads the source of the functions that compare a signature or a binding.
// Each must use hmac.Equal or subtle.ConstantTimeCompare, and must use == and != on nothing but lengths, nil and
// numbers. How the compiled code behaves is measured by TestTiming of package token.
func TestSecretsAreComparedInConstantTime(t *testing.T) {
	for _, row := range []struct{ folder, function string }{
		{".", "hs256"},
		{".", "Forged"},
		{"../token", "Binds"},
	} {
		body := function(t, row.folder, row.function)
		if !callsConstantTime(body) {
			t.Errorf("%s: got no call of hmac.Equal or subtle.ConstantTimeCompare, want one", row.function)
		}
		for _, comparison := range hastyComparisons(body) {
			t.Errorf("%s: got the comparison %s, want only lengths, nil and numbers compared so", row.function, comparison)
		}
	}
}

// function is the body of a package's function, found by name in whichever file it stands.
func function(t *testing.T, folder, name string) *ast.BlockStmt {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range files {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Name.Name == name && f.Recv == nil {
				return f.Body
			}
		}
	}
	t.Fatalf("no function %s in %s; if it was renamed, name it here", name, folder)
	return nil
}

func callsConstantTime(body *ast.BlockStmt) bool {
	found := false
	ast.Inspect(body, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok {
			if s, ok := call.Fun.(*ast.SelectorExpr); ok {
				name := fmt.Sprint(s.X, ".", s.Sel)
				found = found || name == "hmac.Equal" || name == "subtle.ConstantTimeCompare"
			}
		}
		return true
	})
	return found
}

// hastyComparisons are the comparisons in body by operator, by a library function or by switch that could be of
// secrets.
func hastyComparisons(body *ast.BlockStmt) []string {
	var all []string
	ast.Inspect(body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.BinaryExpr:
			if (n.Op == token.EQL || n.Op == token.NEQ) && !harmless(n.X) && !harmless(n.Y) {
				all = append(all, fmt.Sprint(n.X, n.Op, n.Y))
			}
		case *ast.SelectorExpr:
			switch name := fmt.Sprint(n.X, ".", n.Sel); name {
			case "bytes.Equal", "bytes.Compare", "strings.Compare", "reflect.DeepEqual", "strings.EqualFold", "slices.Equal":
				all = append(all, name)
			}
		case *ast.SwitchStmt:
			if n.Tag != nil {
				all = append(all, "a switch over a value")
			}
		}
		return true
	})
	return all
}

// harmless reports whether a comparison with x cannot be of two secrets.
func harmless(x ast.Expr) bool {
	switch x := x.(type) {
	case *ast.BasicLit:
		return x.Kind == token.INT
	case *ast.Ident:
		return x.Name == "nil"
	case *ast.CallExpr:
		return fmt.Sprint(x.Fun) == "len"
	}
	return false
}

// TestHastyComparisonsAreFound: the check above can fail.
func TestHastyComparisonsAreFound(t *testing.T) {
	for source, want := range map[string]int{
		`a == b`: 1, `a != b`: 1, `a == "x"`: 1, `bytes.Equal(a, b)`: 1, `len(a) != len(b)`: 0, `len(a) != size`: 0,
		`subtle.ConstantTimeCompare(a, b) == 1`: 0, `err == nil`: 0, `string(a) == b`: 1,
	} {
		expr, err := parser.ParseExpr("func() bool { return " + source + " }")
		if err != nil {
			t.Fatal(err)
		}
		body := expr.(*ast.FuncLit).Body
		if got := len(hastyComparisons(body)); got != want {
			t.Errorf("%s: got %d comparisons, want %d", source, got, want)
		}
		if got, want := callsConstantTime(body), strings.Contains(source, "ConstantTime"); got != want {
			t.Errorf("%s: got constant time %v, want %v", source, got, want)
		}
	}
}
