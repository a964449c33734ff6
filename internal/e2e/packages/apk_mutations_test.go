package packages_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/approovgate/approovgate/internal/apktest"
)

// mutation is a package that was changed.
type mutation struct {
	name string
	apk  []byte
}

// jarKeys are who signs the packages that are changed.
type jarKeys struct{ rsa, ec, thief *apktest.Key }

func newJarKeys() jarKeys {
	return jarKeys{apktest.NewKey("Shop", apktest.RSA256), apktest.NewKey("Partner", apktest.ECDSA256), apktest.NewKey("Thief", apktest.RSA256)}
}

// app is a package to be signed.
func (k jarKeys) app(change func(*apktest.App)) []byte {
	app := apktest.App{Manifest: apktest.Manifest{Package: "com.example.shop", VersionName: "2.0", VersionCode: 3, MinSDK: 24, TargetSDK: 29},
		Files: []apktest.File{{Name: "classes.dex", Content: strings.Repeat("dex\n035", 100)}, {Name: "assets/data", Content: "the contents of the app", Stored: true},
			{Name: "res/" + strings.Repeat("long/", 20) + "name", Content: "x"}, {Name: "empty", Stored: true}}}
	change(&app)
	return app.Make()
}

func (k jarKeys) v1(a *apktest.App) { a.V1 = []*apktest.Key{k.rsa} }

// changedFiles are packages whose files were changed after they were signed by v1.
func (k jarKeys) changedFiles() []mutation {
	one, two := k.app(k.v1), k.app(func(a *apktest.App) { a.V1 = []*apktest.Key{k.rsa, k.ec} })
	stolen := k.app(func(a *apktest.App) { a.V1 = []*apktest.Key{k.thief} })
	find := func(files []apktest.File, name string) *apktest.File {
		return &files[slices.IndexFunc(files, func(f apktest.File) bool { return f.Name == name })]
	}
	from := func(apk []byte, name string) string { return find(apktest.Unzip(apk), name).Content }
	var all []mutation
	row := func(name string, apk []byte, change func([]apktest.File) []apktest.File) {
		all = append(all, mutation{name, apktest.Zip(change(apktest.Unzip(apk)))})
	}
	edit := func(name string, apk []byte, file string, change func(string) string) {
		row(name, apk, func(files []apktest.File) []apktest.File {
			f := find(files, file)
			f.Content = change(f.Content)
			return files
		})
	}
	without := func(name string, apk []byte, file string) {
		row(name, apk, func(files []apktest.File) []apktest.File {
			return slices.DeleteFunc(files, func(f apktest.File) bool { return f.Name == file })
		})
	}
	with := func(name string, apk []byte, added ...apktest.File) {
		row(name, apk, func(files []apktest.File) []apktest.File { return append(files, added...) })
	}
	to := func(content string) func(string) string { return func(string) string { return content } }
	replace := func(old, text string) func(string) string {
		return func(content string) string { return strings.Replace(content, old, text, 1) }
	}
	const manifest, list, block = "META-INF/MANIFEST.MF", "META-INF/CERT0.SF", "META-INF/CERT0.RSA"
	edit("nothing changed", one, "classes.dex", replace("", ""))
	edit("nothing changed, two signers", two, "classes.dex", replace("", ""))
	edit("a file changed", one, "classes.dex", replace("dex", "dey"))
	edit("a file emptied", one, "assets/data", to(""))
	edit("an empty file filled", one, "empty", to("x"))
	edit("a file changed, two signers", two, "classes.dex", replace("dex", "dey"))
	without("a file removed", one, "classes.dex")
	with("a file added", one, apktest.File{Name: "lib/x.so", Content: "x"})
	with("a folder added", one, apktest.File{Name: "lib/", Stored: true})
	with("a file added to META-INF", one, apktest.File{Name: "META-INF/services/x", Content: "x"})
	with("a file added beside META-INF", one, apktest.File{Name: "meta-inf/x", Content: "x"})
	with("a file added a second time", one, apktest.File{Name: "classes.dex", Content: "x"})
	row("a file renamed", one, func(files []apktest.File) []apktest.File {
		find(files, "classes.dex").Name = "classes2.dex"
		return files
	})
	row("two files swapped", one, func(files []apktest.File) []apktest.File {
		a, b := find(files, "classes.dex"), find(files, "assets/data")
		a.Content, b.Content = b.Content, a.Content
		return files
	})
	without("no list of files", one, manifest)
	without("no list of the signature", one, list)
	without("no signature", one, block)
	without("one of two signatures removed", two, "META-INF/CERT1.EC")
	without("one of two lists removed", two, "META-INF/CERT1.SF")
	edit("the list of files begins otherwise", one, manifest, replace("1.0", "1.1"))
	edit("the list of files goes on", one, manifest, func(s string) string { return s + "Name: assets/none\r\nX: y\r\n\r\n" })
	edit("a digest in the list of files changed", one, manifest, replace("SHA-256-Digest: ", "SHA-256-Digest: A"))
	edit("the list of the signature changed", one, list, replace("1.0", "1.1"))
	edit("the signature cut off", one, block, func(s string) string { return s[:len(s)/2] })
	edit("the signature's last byte changed", one, block, func(s string) string { return s[:len(s)-1] + string(s[len(s)-1]^1) })
	edit("somebody else's signature of another package", one, block, to(from(stolen, block)))
	edit("somebody else's signature of this list", one, block, to(string(k.thief.PKCS7([]byte(from(one, list)), nil))))
	with("a second signature of the same list", one, apktest.File{Name: "META-INF/CERT0.EC", Content: string(k.ec.PKCS7([]byte(from(one, list)), nil))})
	row("two signatures swapped", two, func(files []apktest.File) []apktest.File {
		a, b := find(files, block), find(files, "META-INF/CERT1.EC")
		a.Content, b.Content = b.Content, a.Content
		return files
	})
	other := "Signature-Version: 1.0\r\n\r\nName: org/other/Library.class\r\nSHA-256-Digest: AAAA\r\n\r\n"
	with("the signature of a library in it", one, apktest.File{Name: "META-INF/LIBRARY.SF", Content: other},
		apktest.File{Name: "META-INF/LIBRARY.EC", Content: string(k.ec.PKCS7([]byte(other), nil))})
	some := "Signature-Version: 1.0\r\n\r\n" + sectionOf(from(one, list), "classes.dex")
	with("a second signer of one of the files", one, apktest.File{Name: "META-INF/SOME.SF", Content: some},
		apktest.File{Name: "META-INF/SOME.EC", Content: string(k.ec.PKCS7([]byte(some), nil))})
	with("a signature without a list", one, apktest.File{Name: "META-INF/NONE.RSA", Content: "none"})
	with("a signature that is none", one, apktest.File{Name: "META-INF/NONE.SF", Content: other}, apktest.File{Name: "META-INF/NONE.RSA", Content: "none"})
	return all
}

// sectionOf is the section of a file in a list.
func sectionOf(list, file string) string {
	for section := range strings.SplitAfterSeq(list, "\r\n\r\n") {
		if strings.HasPrefix(section, "Name: "+file+"\r\n") {
			return section
		}
	}
	return ""
}

// changedLists are packages whose lists are otherwise than usual, and were signed so.
func (k jarKeys) changedLists() []mutation {
	var all []mutation
	row := func(name, file string, change func(string) string) {
		all = append(all, mutation{name, k.app(func(a *apktest.App) {
			k.v1(a)
			a.Listed = func(name, list string) string {
				if name == file {
					return change(list)
				}
				return list
			}
		})})
	}
	replace := func(old, text string) func(string) string {
		return func(content string) string { return strings.ReplaceAll(content, old, text) }
	}
	once := func(old, text string) func(string) string {
		return func(content string) string { return strings.Replace(content, old, text, 1) }
	}
	const manifest, list = "MANIFEST.MF", "CERT0.SF"
	row("a main section that is not what was signed", manifest, once("1.0", "1.1"))
	row("lines that end as on Unix", manifest, replace("\r\n", "\n"))
	row("lines of the signature's list that end as on Unix", list, replace("\r\n", "\n"))
	row("headers in small letters", manifest, replace("SHA-256-Digest", "sha-256-digest"))
	row("a digest of MD5 alone", manifest, replace("SHA-256-Digest", "MD5-Digest"))
	row("a digest of the wrong hash", manifest, replace("SHA-256-Digest", "SHA-512-Digest"))
	row("a weaker digest that is wrong", manifest, replace("SHA-256-Digest", "SHA1-Digest: AAAA\r\nSHA-256-Digest"))
	row("a stronger digest that is wrong", manifest, replace("SHA-256-Digest", "SHA-384-Digest: AAAA\r\nSHA-256-Digest"))
	row("a file listed twice", manifest, func(s string) string { return s + sectionOf(s, "classes.dex") })
	row("a file not listed", manifest, func(s string) string { return strings.Replace(s, sectionOf(s, "classes.dex"), "", 1) })
	row("a section without a name", manifest, func(s string) string { return s + "X: y\r\n\r\n" })
	row("a file of META-INF listed", manifest, func(s string) string { return s + "Name: META-INF/none\r\nX: y\r\n\r\n" })
	row("more empty lines", manifest, func(s string) string { return s + "\r\n\r\n" })
	row("a file not in the signature's list", list, func(s string) string { return strings.Replace(s, sectionOf(s, "classes.dex"), "", 1) })
	row("no files in the signature's list", list, func(s string) string { head, _, _ := strings.Cut(s, "\r\n\r\n"); return head + "\r\n\r\n" })
	row("a file twice in the signature's list", list, func(s string) string { return s + sectionOf(s, "classes.dex") })
	row("no Signature-Version", list, once("Signature-Version", "Another-Version"))
	row("sections alone", list, once("SHA-256-Digest-Manifest:", "X-Nothing:"))
	row("sections alone, one of them wrong", list, func(s string) string {
		section := sectionOf(s, "classes.dex")
		return strings.Replace(strings.Replace(s, "SHA-256-Digest-Manifest:", "X-Nothing:", 1), section, "Name: classes.dex\r\nSHA-256-Digest: AAAA\r\n\r\n", 1)
	})
	row("sections alone, one of a file that is not there", list, func(s string) string {
		return strings.Replace(s, "SHA-256-Digest-Manifest:", "X-Nothing:", 1) + "Name: none\r\nSHA-256-Digest: AAAA\r\n\r\n"
	})
	row("by signtool", list, func(s string) string {
		return strings.Replace(strings.Replace(s, "SHA-256-Digest-Manifest:", "SHA-256-Digest:", 1), "1.0\r\n", "1.0\r\nCreated-By: 1.0 (signtool)\r\n", 1)
	})
	for _, schemes := range []string{"2", " 3 ", "7, 02", "4", "two"} {
		row("another scheme that is not there: "+schemes, list, once("1.0\r\n", "1.0\r\nX-Android-APK-Signed: "+schemes+"\r\n"))
	}
	return all
}

// changedBlocks are packages whose signing block was changed, or that were signed by others besides.
func (k jarKeys) changedBlocks() []mutation {
	v2 := func(a *apktest.App) { a.V2 = []*apktest.Key{k.rsa} }
	both := func(a *apktest.App) { k.v1(a); v2(a) }
	three := func(a *apktest.App) { both(a); a.V3 = []*apktest.Key{k.rsa} }
	stripped := func(id uint32) func([]byte) []byte {
		return func(b []byte) []byte {
			return bytes.Replace(b, binary.LittleEndian.AppendUint32(nil, id), []byte("none"), 1)
		}
	}
	signed := func(app func(*apktest.App), change func([]byte) []byte) []byte {
		return k.app(func(a *apktest.App) { app(a); a.Signed = change })
	}
	return []mutation{
		{"v2", k.app(v2)}, {"v1 and v2", k.app(both)}, {"all", k.app(three)},
		{"the signing block removed", signed(both, func(b []byte) []byte { return apktest.Zip(apktest.Unzip(b)) })},
		{"v2 removed", signed(both, stripped(0x7109871a))},
		{"v3 removed", signed(three, stripped(0xf05368c0))},
		{"v2 removed, v3 left", signed(three, stripped(0x7109871a))},
		{"v2 by somebody else, v1 as it was", signed(k.v1, func(b []byte) []byte { return apktest.Sign(b, k.thief) })},
		{"v3 by somebody else, v2 as it was", k.app(func(a *apktest.App) { v2(a); a.V3 = []*apktest.Key{k.thief} })},
		{"v3 by a later key", k.app(func(a *apktest.App) { v2(a); a.V3, a.Lineage = []*apktest.Key{k.thief}, []*apktest.Key{k.rsa, k.thief} })},
		{"v3 by a later key, which says so itself", k.app(func(a *apktest.App) {
			v2(a)
			a.V3, a.Lineage, a.Forged = []*apktest.Key{k.thief}, []*apktest.Key{k.rsa, k.thief}, true
		})},
		{"v3 by a later key of another signer's", k.app(func(a *apktest.App) { v2(a); a.V3, a.Lineage = []*apktest.Key{k.thief}, []*apktest.Key{k.ec, k.thief} })},
		{"v3 by a key whose list of earlier ones ends before it", k.app(func(a *apktest.App) { v2(a); a.V3, a.Lineage = []*apktest.Key{k.thief}, []*apktest.Key{k.rsa, k.ec} })},
		{"v2 of a file that was changed, v1 too", signed(both, func(b []byte) []byte { return bytes.Replace(b, []byte("contents"), []byte("c0ntents"), 1) })},
		{"bytes after the package", signed(both, func(b []byte) []byte { return append(b, "more"...) })},
	}
}

// flips are packages of which one bit was changed, in each part.
func (k jarKeys) flips(each int, at func(n int) int) []mutation {
	var all []mutation
	for name, app := range map[string]func(*apktest.App){"v1": k.v1, "v1 and v2": func(a *apktest.App) { k.v1(a); a.V2 = []*apktest.Key{k.rsa} },
		"v2 and v3": func(a *apktest.App) {
			a.V2, a.V3, a.Lineage = []*apktest.Key{k.ec}, []*apktest.Key{k.rsa}, []*apktest.Key{k.ec, k.rsa}
		}} {
		whole := k.app(app)
		directory := int(binary.LittleEndian.Uint32(whole[len(whole)-6:]))
		block := max(bytes.Index(whole, []byte("\x1a\x87\x09\x71"))-16, 0)
		for part, span := range map[string][2]int{"files": {0, directory}, "signing block": {block, directory}, "directory": {directory, len(whole) - 22}, "end": {len(whole) - 22, len(whole)}} {
			for range each {
				changed, i := slices.Clone(whole), span[0]+at(span[1]-span[0])
				changed[i] ^= 1 << at(8)
				all = append(all, mutation{fmt.Sprintf("%s, byte %d of %s", name, i, part), changed})
			}
		}
	}
	return all
}
