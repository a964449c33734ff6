package account

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/approovgate/approovgate/attestapi"
)

// checkText refuses what would not stand on a line of its own in a list or log: more bytes than limit, control
// characters, characters that cannot be seen, space at the ends, and what is no UTF-8.
func checkText(field, text string, limit int) error {
	if len(text) > limit || !utf8.ValidString(text) || strings.TrimSpace(text) != text || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsGraphic(r) }) {
		return refuse(attestapi.CodeInvalid, "%s: %.80q must be one line of at most %d bytes, of visible characters, without a space at its ends", field, text, limit)
	}
	return nil
}

// checkWord is checkText for what must be there and has no space in it, because it is part of a registration's
// signature, which people copy as one word.
func checkWord(field, text string, limit int) error {
	if err := checkText(field, text, limit); err != nil {
		return err
	}
	if text == "" || strings.ContainsFunc(text, unicode.IsSpace) {
		return refuse(attestapi.CodeInvalid, "%s: %.80q must have 1 to %d bytes and no space in it", field, text, limit)
	}
	return nil
}
