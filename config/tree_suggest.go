package config

import "strings"

// farthest is how many single-character edits a wrong name may be away from the one it is taken for.
const farthest = 2

// nearest is the one of names that name was probably meant to be, or "". Names must be sorted: of several
// equally near ones the first wins.
func nearest(name string, names []string) string {
	if len(name) > nameShown {
		return ""
	}
	best, distance := "", farthest+1
	for _, n := range names {
		if spelling(n) == spelling(name) {
			return n
		}
		d := edits(name, n)
		if d < distance && d < len(name) && d < len(n) {
			best, distance = n, d
		}
	}
	return best
}

// spelling is a name without what people vary: case, hyphens, underscores.
func spelling(name string) string {
	return strings.ToLower(strings.NewReplacer("-", "", "_", "").Replace(name))
}

// edits is the Levenshtein distance of two short strings, in bytes.
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			d := diagonal
			if a[i-1] != b[j-1] {
				d++
			}
			if row[j]+1 < d {
				d = row[j] + 1
			}
			if row[j-1]+1 < d {
				d = row[j-1] + 1
			}
			diagonal, row[j] = row[j], d
		}
	}
	return row[len(b)]
}
