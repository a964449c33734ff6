package main

import "strings"

// didYouMean names the word of a list that a mistyped one is near to; empty if none is.
func didYouMean(typed string, known []string) string {
	best, least := "", len(typed)/2+1
	for _, word := range known {
		if d := distance(strings.ToLower(typed), strings.ToLower(word)); d < least {
			best, least = word, d
		}
		if best == "" && len(typed) > 3 && strings.HasPrefix(word, typed) {
			best = word
		}
	}
	if best == "" {
		return ""
	}
	return "; did you mean " + best + "?"
}

// orLook is what didYouMean says, and where else to look.
func orLook(near, look string) string {
	if near == "" {
		return "; " + look
	}
	return near + " " + look
}

// distance is how many letters must be put in, left out or replaced to make one word of another (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j+1]+1, row[j]+1)
		}
	}
	return row[len(b)]
}
