package config

// Problem is one thing wrong with a document: where, what, and what to do about it.
type Problem struct {
	Path    string // path to the field, such as "keys[1].secret"
	Text    string // what is wrong and the fix; never a secret's value
	Warning bool   // the document may still be used
}

// String is the problem as one line: path, colon, text.
func (p Problem) String() string {
	if p.Path == "" {
		return p.Text
	}
	return p.Path + ": " + p.Text
}

// Failed reports whether problems holds one that is more than a warning.
func Failed(problems []Problem) bool {
	for _, p := range problems {
		if !p.Warning {
			return true
		}
	}
	return false
}
