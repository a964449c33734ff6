package apk_test

import (
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/approovgate/approovgate/internal/apktest"
)

// slowSection is a section of a list, read in a slow and simple way that takes too much rather than too little.
type slowSection struct {
	raw     string
	headers map[string]string // the first of a name, in small letters
}

func slowSections(list string) []slowSection {
	ends := regexp.MustCompile(`\r\n\r\n|\r\n\r|\r\n\n|\n\r\n|\n\r|\n\n|\r\r\n|\r\r`)
	var all []slowSection
	for len(list) > 0 {
		end := len(list)
		if at := ends.FindStringIndex(list); at != nil {
			end = at[1]
		}
		s := slowSection{list[:end], map[string]string{}}
		list = strings.TrimLeft(list[end:], "\r\n")
		text := regexp.MustCompile(`\r\n|\r`).ReplaceAllString(s.raw, "\n")
		for line := range strings.SplitSeq(strings.ReplaceAll(text, "\n ", ""), "\n") {
			name, value, found := strings.Cut(line, ":")
			if name = strings.ToLower(name); found && s.headers[name] == "" {
				s.headers[name] = strings.TrimSpace(value)
			}
		}
		all = append(all, s)
	}
	return all
}

// slowDigest says whether the strongest digest of a kind in a section is that of a content.
func (s slowSection) slowDigest(kind, content string) bool {
	sum512, sum384, sum256, sum1 := sha512.Sum512([]byte(content)), sha512.Sum384([]byte(content)), sha256.Sum256([]byte(content)), sha1.Sum([]byte(content))
	for _, one := range []struct {
		name string
		sum  []byte
	}{{"sha-512", sum512[:]}, {"sha-384", sum384[:]}, {"sha-256", sum256[:]}, {"sha1", sum1[:]}} {
		if value, found := s.headers[one.name+kind]; found {
			sum, err := base64.StdEncoding.DecodeString(value)
			return err == nil && string(sum) == string(one.sum)
		}
	}
	return false
}

// slowVerdict says whether lists, both of which were signed, are of some files.
func slowVerdict(manifest, signature string, files []apktest.File) bool {
	listed, signed := slowSections(manifest), slowSections(signature)
	if len(listed) == 0 || len(signed) == 0 || signed[0].headers["signature-version"] == "" {
		return false
	}
	whole := signed[0].slowDigest("-digest-manifest", manifest) || signed[0].slowDigest("-digest", manifest)
	for _, f := range files {
		if strings.HasPrefix(f.Name, "META-INF/") {
			continue
		}
		of := func(s slowSection) bool { return s.headers["name"] == f.Name }
		i, j := slices.IndexFunc(listed, of), slices.IndexFunc(signed, of)
		if i < 0 || j < 0 || !listed[i].slowDigest("-digest", f.Content) {
			return false
		}
		if raw := listed[i].raw; !whole && !signed[j].slowDigest("-digest", raw) && !signed[j].slowDigest("-digest", strings.TrimSuffix(raw, "\n")) {
			return false
		}
	}
	return true
}

// FuzzV1Lists signs lists of any kind: whatever is taken, a slow and simple reader takes too.
func FuzzV1Lists(f *testing.F) {
	key := apktest.NewKey("Shop", apktest.ECDSA256)
	var files []apktest.File
	lists := map[string]string{}
	app := apktest.App{Manifest: shop, V1: []*apktest.Key{key}, Files: []apktest.File{{Name: "classes.dex", Content: "dex"}, {Name: "assets/" + strings.Repeat("long", 20), Content: "x"}},
		Added: func(all []apktest.File) []apktest.File { files = all; return all }, Listed: func(name, list string) string { lists[name] = list; return list }}
	app.Make()
	for _, signature := range []string{lists["CERT0.SF"], strings.Replace(lists["CERT0.SF"], "SHA-256-Digest-Manifest:", "X:", 1)} {
		f.Add(lists["MANIFEST.MF"], signature)
		f.Add(lists["MANIFEST.MF"], strings.ReplaceAll(signature, "\r\n", "\n"))
	}
	f.Fuzz(func(t *testing.T, manifest, signature string) {
		app.Listed = func(name, _ string) string {
			if name == "MANIFEST.MF" {
				return manifest
			}
			return signature
		}
		signers, warnings := signatures(t, app.Make(), 4096)
		if len(warnings) == 0 && !slowVerdict(manifest, signature, files) {
			t.Errorf("got %s without a warning", signers)
		}
		if manifest == lists["MANIFEST.MF"] && signature == lists["CERT0.SF"] && len(warnings) != 0 {
			t.Errorf("got %q of what was not changed", warnings)
		}
	})
}
