package layout

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"
)

// What Yaegi v0.16.1 does not run, or runs to another result than Go does. Each row was seen to; a case
// of the corpus may or may not notice, so the sources are searched too.
func dialectFault(n ast.Node) string {
	switch n := n.(type) {
	case *ast.SwitchStmt:
		if n.Tag != nil {
			return ""
		}
		for _, clause := range n.Body.List {
			if c, ok := clause.(*ast.CaseClause); ok && len(c.List) > 1 {
				return "a switch without a tag has a case of several conditions, of which && and || come out wrong: join them with ||"
			}
		}
	case *ast.TypeSwitchStmt:
		if _, bound := n.Assign.(*ast.AssignStmt); !bound && namesListOrMap(n.Body) {
			return "a type switch binds no variable, and then slices and maps never match: write switch x := v.(type)"
		}
	case *ast.RangeStmt:
		if literal, ok := n.X.(*ast.BasicLit); ok && literal.Kind == token.INT {
			return "range over an integer panics: count in a for statement"
		}
	case *ast.FuncDecl:
		if n.Type.TypeParams != nil {
			return "type parameters are not worth their surprises in the interpreter"
		}
	case *ast.FuncLit:
		for _, field := range n.Type.Params.List {
			if len(field.Names) == 0 {
				return "a function literal leaves a parameter without a name, and panics if it captures a receiver: write _"
			}
		}
	case *ast.AssignStmt:
		return valuesFault(n.Rhs, n.Tok == token.DEFINE)
	case *ast.ValueSpec:
		return valuesFault(n.Values, true)
	case *ast.ReturnStmt:
		for i, result := range n.Results {
			if call, ok := result.(*ast.CallExpr); ok && i > 0 && isAppend(call) {
				return "a return with append behind the first value writes to the place of the first, and panics: give it a statement of its own"
			}
		}
	case *ast.DeferStmt:
		if _, literal := n.Call.Fun.(*ast.FuncLit); literal {
			return "a deferred function literal hangs if it calls a function value of its function, and in a loop sees the last variables: defer a named function"
		}
	case *ast.CallExpr:
		return callFault(n)
	}
	return ""
}

// valuesFault is what is wrong with the right side of an assignment of several values: the interpreter writes the
// result of a call or a literal to its place, and then forgets the others.
func valuesFault(values []ast.Expr, define bool) string {
	if len(values) < 2 {
		return ""
	}
	for _, value := range values {
		switch v := value.(type) {
		case *ast.Ident:
			if v.Name == "nil" {
				return "an assignment of several values panics when one is nil: give each a statement of its own"
			}
		case *ast.CompositeLit:
			return "an assignment of several values with a composite literal loses the others: give each a statement of its own"
		case *ast.CallExpr:
			if !define {
				return "an assignment of several values with a call loses the others: give each a statement of its own"
			}
		}
	}
	return ""
}

func isAppend(call *ast.CallExpr) bool {
	name, ok := call.Fun.(*ast.Ident)
	return ok && name.Name == "append"
}

// namesListOrMap reports whether a case of a type switch is a slice or map type.
func namesListOrMap(cases *ast.BlockStmt) bool {
	for _, clause := range cases.List {
		c, ok := clause.(*ast.CaseClause)
		if !ok {
			continue
		}
		for _, kind := range c.List {
			switch kind.(type) {
			case *ast.ArrayType, *ast.MapType:
				return true
			}
		}
	}
	return false
}

func callFault(call *ast.CallExpr) string {
	switch f := call.Fun.(type) {
	case *ast.Ident:
		if f.Name == "min" || f.Name == "max" || f.Name == "clear" {
			return f.Name + " is not known"
		}
	case *ast.SelectorExpr:
		pkg, ok := f.X.(*ast.Ident)
		if !ok {
			return ""
		}
		switch name := pkg.Name + "." + f.Sel.Name; {
		case name == "errors.As":
			return "errors.As panics on our own types"
		case strings.HasPrefix(name, "slices.") && name != "slices.Contains" && name != "slices.Index":
			return name + " fails: use sort or a loop"
		case pkg.Name == "maps":
			return name + " fails: use a loop"
		case name == "sync.OnceFunc" || name == "sync.OnceValue" || name == "sync.OnceValues":
			return name + " is not known: use sync.Once"
		}
	}
	return ""
}

func TestDialectPackagesAreWrittenInTheDialect(t *testing.T) {
	for name := range dialect {
		files, err := filepath.Glob(filepath.Join(root, name, "*.go"))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: got %d files, %v", name, len(files), err)
		}
		for _, file := range files {
			if !strings.HasSuffix(file, "_test.go") {
				searchDialect(t, file)
			}
		}
	}
}

func searchDialect(t *testing.T, file string) {
	t.Helper()
	set := token.NewFileSet()
	parsed, err := parser.ParseFile(set, file, nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	for _, group := range parsed.Comments {
		for _, comment := range group.List {
			if strings.HasPrefix(comment.Text, "//go:build") {
				t.Errorf("%s: build tags are ignored by the interpreter", set.Position(comment.Pos()))
			}
		}
	}
	ast.Inspect(parsed, func(n ast.Node) bool {
		if fault := dialectFault(n); fault != "" {
			t.Errorf("%s: %s", set.Position(n.Pos()), fault)
		}
		if selector, ok := n.(*ast.SelectorExpr); ok {
			if pkg, ok := selector.X.(*ast.Ident); ok && pkg.Name == "atomic" && selector.Sel.Name == "Pointer" {
				t.Errorf("%s: atomic.Pointer is not known: use atomic.Value", set.Position(n.Pos()))
			}
		}
		return true
	})
}

// The search itself must be able to fail.
func TestDialectSearchFindsFaults(t *testing.T) {
	for _, source := range []string{
		`switch { case a, b && c: }`, `switch v.(type) { case []int: }`, `for range 3 {}`, `_ = min(1, 2)`,
		`_ = errors.As(err, &target)`, `slices.Sort(list)`, `_ = func(int) {}`, `a, b = nil, 1`, `a, b = 1, f()`, `a, b := 1, T{}`,
		`var a, b = T{}, 1`, `defer func() { f() }()`,
		`return a, append(b, c)`,
	} {
		parsed, err := parser.ParseFile(token.NewFileSet(), "x.go", "package x\nfunc f() { "+source+" }", 0)
		if err != nil {
			t.Fatal(err)
		}
		found := false
		ast.Inspect(parsed, func(n ast.Node) bool { found = found || n != nil && dialectFault(n) != ""; return true })
		if !found {
			t.Errorf("%s: got no fault, want one", source)
		}
	}
}
