package apk_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/approovgate/approovgate/internal/apktest"
)

// changed signs a package by v1, and then changes the content of one of its files. Its place in the archive is as it was.
func changed(keys []*apktest.Key, file, old, text string) []byte {
	return apktest.App{Manifest: shop, V1: keys, Files: []apktest.File{{Name: "assets/data", Content: "the contents of the app"}, {Name: "empty"}},
		Added: func(files []apktest.File) []apktest.File {
			i := slices.IndexFunc(files, func(f apktest.File) bool { return f.Name == file })
			if !strings.Contains(files[i].Content, old) {
				panic("nothing to replace")
			}
			files[i].Content = strings.Replace(files[i].Content, old, text, 1)
			return files
		}}.Make()
}

// TestV1IsOverEachFile wants a package that is signed by v1 alone to be what was signed, in each of its files.
func TestV1IsOverEachFile(t *testing.T) {
	key, other := apktest.NewKey("Shop", apktest.RSA256), apktest.NewKey("Thief", apktest.ECDSA256)
	keys := []*apktest.Key{key}
	added := func(files ...apktest.File) []byte {
		return apktest.App{Manifest: shop, V1: keys, Added: func(all []apktest.File) []apktest.File { return append(all, files...) }}.Make()
	}
	without := func(file string) []byte {
		return apktest.App{Manifest: shop, V1: keys, Files: []apktest.File{{Name: "assets/data", Content: "x"}}, Added: func(all []apktest.File) []apktest.File {
			return slices.DeleteFunc(all, func(f apktest.File) bool { return f.Name == file })
		}}.Make()
	}
	many := func(files []apktest.File) []apktest.File {
		for range 40 {
			files = append(files, apktest.File{Name: "more/" + strings.Repeat("x", len(files)+1), Content: "x"})
		}
		return files
	}
	list := "Signature-Version: 1.0\r\n\r\nName: org/library/Class.class\r\nSHA-256-Digest: AAAA\r\n\r\n"
	for _, row := range []struct {
		name string
		apk  []byte
		want string // in what is wrong; "": nothing is
	}{
		{"nothing changed", changed(keys, "assets/data", "contents", "contents"), ""},
		{"a file changed, as long as it was", changed(keys, "assets/data", "contents", "c0ntents"), `its file "assets/data" is not what was signed (v1): it was changed since`},
		{"a file cut short", changed(keys, "assets/data", "the contents", ""), `its file "assets/data" is not what was signed`},
		{"an empty file filled", changed(keys, "empty", "", "x"), `its file "empty" is not what was signed`},
		{"a file changed that two signed", changed([]*apktest.Key{key, other}, "assets/data", "contents", "c0ntents"), `its file "assets/data" is not what was signed`},
		{"the manifest of the app changed", changed(keys, "AndroidManifest.xml", "\x01", "\x02"), `its file "AndroidManifest.xml" is not what was signed`},
		{"a digest in the list of files changed", changed(keys, "META-INF/MANIFEST.MF", "SHA-256-Digest: ", "SHA-256-Digest: A"), `what META-INF/MANIFEST.MF says of "AndroidManifest.xml" is not what was signed`},
		{"the head of the list of files changed", changed(keys, "META-INF/MANIFEST.MF", "1.0", "1.1"), "the beginning of META-INF/MANIFEST.MF is not what was signed"},
		{"the signature's list changed", changed(keys, "META-INF/CERT0.SF", "1.0", "1.1"), `signature "META-INF/CERT0.RSA": it does not verify`},
		{"a file added", added(apktest.File{Name: "lib/x.so"}), `its file "lib/x.so" is not in META-INF/MANIFEST.MF`},
		{"more files added than are told", added(many(nil)...), "30 more files or signatures are not as v1 has them"},
		{"a folder added", added(apktest.File{Name: "lib/", Stored: true}), ""},
		{"a file added to META-INF, which v1 does not protect", added(apktest.File{Name: "META-INF/x", Content: "x"}), ""},
		{"a file removed", without("assets/data"), `META-INF/MANIFEST.MF: it lists "assets/data", which is no file of the package`},
		{"the list of files removed", without("META-INF/MANIFEST.MF"), "there is no META-INF/MANIFEST.MF in it"},
		{"the signature's list removed", without("META-INF/CERT0.SF"), `there is no "META-INF/CERT0.SF" in it`},
		{"the signature removed", without("META-INF/CERT0.RSA"), "it is not signed"},
		{"the signature of a library that is in it", added(apktest.File{Name: "META-INF/LIBRARY.SF", Content: list},
			apktest.File{Name: "META-INF/LIBRARY.EC", Content: string(other.PKCS7([]byte(list), nil))}), ""},
		{"a signature that is none", added(apktest.File{Name: "META-INF/X.SF"}, apktest.File{Name: "META-INF/X.DSA", Content: "none"}), "no signature of PKCS #7"},
		{"a signature whose name is that of another in small letters", added(apktest.File{Name: "META-INF/cert0.rsa"}), `its files "META-INF/CERT0.RSA" and "META-INF/cert0.rsa" are the same for Android`},
		{"a directory that says otherwise where a file's sizes are", apktest.App{Manifest: shop, V1: keys, Signed: func(b []byte) []byte {
			b[bytes.LastIndex(b, []byte("PK\x01\x02"))+8] ^= 8
			return b
		}, Added: func(all []apktest.File) []apktest.File { return append(all[1:], all[0]) }}.Make(), `its file "AndroidManifest.xml" has its sizes after it`},
		{"a second signature of one list", added(apktest.File{Name: "META-INF/CERT0.EC", Content: "x"}), `"META-INF/CERT0.RSA" and "META-INF/CERT0.EC" are over one list`},
	} {
		signers, warnings := signatures(t, row.apk, 1000)
		if got := strings.Join(warnings, "; "); !strings.Contains(got, row.want) || row.want == "" && (got != "" || signers != "v1 "+key.SHA256()+" CN=Shop,O=Android,C=US RSA 2048") {
			t.Errorf("%s: got %s, %s, want %s", row.name, signers, got, row.want)
		}
	}
}

// TestV1BesideOthers wants v1 to be told of only if it is there, and what is wrong with it to be of old devices alone.
func TestV1BesideOthers(t *testing.T) {
	key, library := apktest.NewKey("Shop", apktest.ECDSA256), apktest.NewKey("Library", apktest.RSA256)
	keys := []*apktest.Key{key}
	list := "Signature-Version: 1.0\r\n\r\nName: org/library/Class.class\r\nSHA-256-Digest: AAAA\r\n\r\n"
	packed := func(files []apktest.File) []apktest.File {
		return append(files, apktest.File{Name: "META-INF/LIBRARY.SF", Content: list}, apktest.File{Name: "META-INF/LIBRARY.RSA", Content: string(library.PKCS7([]byte(list), nil))})
	}
	manifest := func(files []apktest.File) []apktest.File {
		return append(packed(files), apktest.File{Name: "META-INF/MANIFEST.MF", Content: "Manifest-Version: 1.0\r\n\r\n"})
	}
	broken := func(files []apktest.File) []apktest.File {
		files[len(files)-1].Content = string(library.PKCS7([]byte("another list"), nil))
		return files
	}
	for _, row := range []struct {
		name string
		app  apktest.App
		want string
	}{
		{"what a library was signed with, and no list of files", apktest.App{V2: keys, Added: packed}, ""},
		{"what a library was signed with, and its list of files", apktest.App{V2: keys, Added: manifest}, ""},
		{"v1 as well, and what a library was signed with", apktest.App{V1: keys, V2: keys, Added: packed}, ""},
		{"a v1 signature of another list, beside v2", apktest.App{V1: keys, V2: keys, Added: broken}, "it does not verify: Android before 7 would not install it"},
		{"a v1 signature of another list, beside v3", apktest.App{V1: keys, V3: keys, Added: broken}, "it does not verify: Android before 9 would not install it"},
	} {
		row.app.Manifest = shop
		signers, warnings := signatures(t, row.app.Make(), 1000)
		if got := strings.Join(warnings, "; "); strings.Contains(signers, "Library") || !strings.Contains(got, row.want) || row.want == "" && got != "" {
			t.Errorf("%s: got %s, %s, want %s", row.name, signers, got, row.want)
		}
	}
}

// TestV1Lists signs lists that are otherwise than usual. What Android and apksigner take is taken; what one of them
// takes alone is not.
func TestV1Lists(t *testing.T) {
	keys := []*apktest.Key{apktest.NewKey("Shop", apktest.ECDSA256)}
	replace := func(old, text string) func(string) string {
		return func(list string) string {
			if !strings.Contains(list, old) {
				panic("nothing to replace")
			}
			return strings.ReplaceAll(list, old, text)
		}
	}
	add := func(text string) func(string) string { return func(list string) string { return list + text } }
	const manifest, signature = "MANIFEST.MF", "CERT0.SF"
	for _, row := range []struct {
		name, file string
		change     func(string) string
		want       string // in what is wrong; "": nothing is
	}{
		{"a first section that ends otherwise than was signed", manifest, replace("\r\n\r\n", "\n\n"), "the beginning of"},
		{"lines of the signature's list that do", signature, replace("\r\n", "\n"), ""},
		{"header names in small letters", manifest, replace("SHA-256-Digest", "sha-256-digest"), ""},
		{"more empty lines at the end", manifest, add("\r\n\r\n"), ""},
		{"no empty line at the end", signature, func(s string) string { return strings.TrimSuffix(s, "\r\n") }, ""},
		{"a stronger digest that is wrong", manifest, replace("SHA-256-Digest", "SHA-512-Digest: AAAA\r\nSHA-256-Digest"), "is not what was signed (v1)"},
		{"a weaker digest that is wrong", manifest, replace("SHA-256-Digest", "SHA1-Digest: AAAA\r\nSHA-256-Digest"), ""},
		{"a digest that is not base64", manifest, replace("SHA-256-Digest", "SHA-256-Digest: ?\r\nX"), "is not what was signed (v1)"},
		{"a digest by MD5 alone", manifest, replace("SHA-256-Digest", "MD5-Digest"), "or without a digest"},
		{"a file listed twice", manifest, add("Name: classes.dex\r\nX: y\r\n\r\n"), `lists "classes.dex" twice`},
		{"a section without a name", manifest, add("X: y\r\n\r\n"), "not with the name of a file"},
		{"a section whose name ends in a space", manifest, add("Name: classes.dex \r\n\r\n"), "not with the name of a file"},
		{"a folder listed", manifest, add("Name: res/\r\nX: y\r\n\r\n"), `lists "res/", which is no file`},
		{"a header twice", manifest, replace("SHA-256-Digest", "X: y\r\nx: y\r\nSHA-256-Digest"), "line 5: the second x in one section"},
		{"a line that is no header", manifest, add("Name classes.dex\r\n"), "want NAME: VALUE"},
		{"a header without a space", manifest, add("Name:classes.dex\r\n"), "want NAME: VALUE"},
		{"a last line that does not end", manifest, add("Name: x"), "it does not end within"},
		{"an empty line first", manifest, func(s string) string { return "\r\n" + s }, "begins with an empty line"},
		{"a header that goes on and on", manifest, add("Name: x\r\n" + strings.Repeat(" "+strings.Repeat("x", 60)+"\r\n", 1100)), "more than 65536 bytes"},
		{"an empty list of files", manifest, func(string) string { return "" }, "it is empty"},
		{"no files in the signature's list", signature, func(s string) string { head, _, _ := strings.Cut(s, "\r\n\r\n"); return head + "\r\n\r\n" }, "in no list that is signed by v1"},
		{"a file twice in the signature's list", signature, add("Name: classes.dex\r\nX: y\r\n\r\n"), `does not count: it lists "classes.dex" twice`},
		{"no Signature-Version", signature, replace("Signature-Version", "Version"), "no Signature-Version"},
		{"a digest of the list of files that is not base64", signature, replace("SHA-256-Digest-Manifest: ", "SHA-256-Digest-Manifest: ?"), "is not in base64"},
		{"by signtool", signature, replace("1.0\r\nSHA-256-Digest-Manifest:", "1.0\r\nCreated-By: 1 (signtool)\r\nSHA-256-Digest:"), ""},
		{"sections alone", signature, replace("SHA-256-Digest-Manifest:", "X-Nothing:"), ""},
		{"sections alone, one of a file that is not there", signature, func(s string) string {
			return strings.Replace(s, "SHA-256-Digest-Manifest:", "X-Nothing:", 1) + "Name: none\r\nX: y\r\n\r\n"
		}, `does not count: it lists "none"`},
		{"a scheme that was taken out", signature, replace("1.0\r\n", "1.0\r\nX-Android-APK-Signed: 4, 03\r\n"), "it has one of v3 too, which was taken out"},
		{"a scheme that nobody knows", signature, replace("1.0\r\n", "1.0\r\nX-Android-APK-Signed: 4, two,\r\n"), ""},
	} {
		apk := apktest.App{Manifest: shop, V1: keys, Files: []apktest.File{{Name: "classes.dex", Content: "dex"}}, Listed: func(name, list string) string {
			if name == row.file {
				return row.change(list)
			}
			return list
		}}.Make()
		_, warnings := signatures(t, apk, 1000)
		if got := strings.Join(warnings, "; "); !strings.Contains(got, row.want) || row.want == "" && got != "" {
			t.Errorf("%s: got %s, want %s", row.name, got, row.want)
		}
	}
}

// TestSignersAgree wants a package to be of one signer, by whichever scheme a device goes.
func TestSignersAgree(t *testing.T) {
	key, other, thief := apktest.NewKey("Shop", apktest.ECDSA256), apktest.NewKey("Later", apktest.RSA256), apktest.NewKey("Thief", apktest.ECDSA256)
	one := func(k *apktest.Key) []*apktest.Key { return []*apktest.Key{k} }
	for _, row := range []struct {
		name string
		app  apktest.App
		want string
	}{
		{"v2 by somebody else than v1", apktest.App{V1: one(key), Signed: func(b []byte) []byte { return apktest.Sign(b, thief) }}, "its v1 signature is by others than its v2 one"},
		{"v3 by somebody else than v2", apktest.App{V2: one(key), V3: one(thief)}, "its v2 signature is by others than its v3 one"},
		{"v3 by a later key", apktest.App{V1: one(key), V2: one(key), V3: one(other), Lineage: []*apktest.Key{key, other}}, ""},
		{"v3 by a key that says itself that it is a later one", apktest.App{V2: one(key), V3: one(thief), Lineage: []*apktest.Key{key, thief}, Forged: true}, "did not sign the next one"},
		{"v3 by a key that is not in its list of keys", apktest.App{V2: one(key), V3: one(thief), Lineage: []*apktest.Key{key, other}}, "does not end with its own"},
		{"a list in which a key is twice", apktest.App{V3: one(key), Lineage: []*apktest.Key{key, other, key}}, "did not sign the next one"},
		{"a list that is cut off", apktest.App{V3: one(key), Lineage: one(key), Signed: func(b []byte) []byte {
			at := bytes.Index(b, []byte("\x8c\x6f\xa0\x3b")) + 8
			b[at]++
			return b
		}}, "it is damaged"},
	} {
		row.app.Manifest = shop
		_, warnings := signatures(t, row.app.Make(), 1000)
		if got := strings.Join(warnings, "; "); !strings.Contains(got, row.want) || row.want == "" && got != "" {
			t.Errorf("%s: got %s, want %s", row.name, got, row.want)
		}
	}
}
