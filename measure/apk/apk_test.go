package apk_test

import (
	"bytes"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"

	"github.com/approovgate/approovgate/internal/apktest"
	"github.com/approovgate/approovgate/measure/apk"
	"github.com/approovgate/approovgate/measure/zipfile"
)

var shop = apktest.Manifest{Package: "com.example.shop", VersionName: "2.0", VersionCode: 3, MinSDK: 21, TargetSDK: 34}

func open(t *testing.T, content []byte) *zipfile.Archive {
	t.Helper()
	a, err := zipfile.Open(bytes.NewReader(content), int64(len(content)))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestReadManifest(t *testing.T) {
	const number = 0x7f010000
	with := func(change func(*apktest.Manifest)) apktest.Manifest {
		m := shop
		change(&m)
		return m
	}
	whole := apk.Manifest{Package: "com.example.shop", VersionName: "2.0", VersionCode: 3, MinSDK: 21, TargetSDK: 34}
	want := func(change func(*apk.Manifest)) apk.Manifest {
		m := whole
		change(&m)
		return m
	}
	byResource := with(func(m *apktest.Manifest) { m.VersionNameAt = number })
	for _, row := range []struct {
		name string
		app  apktest.App
		want apk.Manifest
	}{
		{"a manifest", apktest.App{Manifest: shop}, whole},
		{"attributes without names", apktest.App{Manifest: with(func(m *apktest.Manifest) { m.NoNames, m.UTF8 = true, true })}, whole},
		{"a version code of 64 bits", apktest.App{Manifest: with(func(m *apktest.Manifest) { m.VersionCodeMajor = 2 })},
			want(func(m *apk.Manifest) { m.VersionCode = 2<<32 | 3 })},
		{"a part of an app", apktest.App{Manifest: with(func(m *apktest.Manifest) { m.Split = "config.de" })}, want(func(m *apk.Manifest) { m.Split = "config.de" })},
		{"debuggable and for tests", apktest.App{Manifest: with(func(m *apktest.Manifest) { m.Debuggable, m.TestOnly = true, true })},
			want(func(m *apk.Manifest) { m.Debuggable, m.TestOnly = true, true })},
		{"two applications, of which Android takes the first", apktest.App{Manifest: with(func(m *apktest.Manifest) { m.Second = true })}, whole},
		{"a version name that is a resource", apktest.App{Manifest: byResource, Table: apktest.Table(apktest.Plain, []apktest.Resource{{Text: "zwei", Language: "de"}, {Text: "2.0"}})}, whole},
		{"one that is a resource which is another", apktest.App{Manifest: byResource, Table: apktest.Table(apktest.Compact, []apktest.Resource{{At: number + 1}}, []apktest.Resource{{Text: "2.0"}})}, whole},
		{"one that is a resource which is not there", apktest.App{Manifest: byResource, Table: apktest.Table(apktest.Plain)}, want(func(m *apk.Manifest) {
			m.VersionName, m.Warnings = "", []string{"its version name is the resource 0x7f010000, which is not found"}
		})},
		{"one that is a resource without a table", apktest.App{Manifest: byResource}, want(func(m *apk.Manifest) {
			m.VersionName, m.Warnings = "", []string{"its version name is the resource 0x7f010000, which is not found: resources.arsc: there is no resources.arsc in it"}
		})},
	} {
		if got, err := apk.ReadManifest(open(t, row.app.Make())); err != nil || !reflect.DeepEqual(got, row.want) {
			t.Errorf("%s: got %+v, %v, want %+v", row.name, got, err, row.want)
		}
	}
}

func TestReadManifestRefuses(t *testing.T) {
	file := func(name, content string) []byte { return apktest.Zip([]apktest.File{{Name: name, Content: content}}) }
	for _, row := range []struct {
		name    string
		archive []byte
		want    string
	}{
		{"no manifest", file("classes.dex", "x"), "there is no AndroidManifest.xml"},
		{"a manifest that is text", file("AndroidManifest.xml", `<manifest package="com.example"/>`), "AndroidManifest.xml: "},
		{"a manifest of another element", file("AndroidManifest.xml", strings.ReplaceAll(string(apktest.Manifest{UTF8: true}.Encode()), "manifest", "mystery!")), "outermost element"},
		{"a manifest that is too large", file("AndroidManifest.xml", strings.Repeat("x", 5<<20)), "at most 4194304"},
	} {
		if got, err := apk.ReadManifest(open(t, row.archive)); err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: got %+v, %v, want %q", row.name, got, err, row.want)
		}
	}
}

// signatures reads the signatures of a package, and its contents in parts of a size.
func signatures(t *testing.T, content []byte, part int) (string, []string) {
	t.Helper()
	a := open(t, content)
	s, err := apk.ReadSignatures(bytes.NewReader(content), int64(len(content)), a)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.CopyBuffer(struct{ io.Writer }{s}, struct{ io.Reader }{bytes.NewReader(content)}, make([]byte, part)); err != nil {
		t.Fatal(err)
	}
	for _, f := range a.Files() {
		content, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		to := s.Content(f)
		if to == nil {
			to = io.Discard
		}
		if _, err := io.CopyBuffer(struct{ io.Writer }{to}, struct{ io.Reader }{content}, make([]byte, part)); err != nil && !strings.Contains(err.Error(), "damaged") {
			t.Fatal(err)
		}
		if err := content.Close(); err != nil {
			t.Fatal(err)
		}
	}
	signers, warnings := s.Result()
	var all []string
	for _, one := range signers {
		all = append(all, fmt.Sprint(one.Scheme, " ", one.SHA256, " ", one.Subject, " ", one.Key))
	}
	return strings.Join(all, "\n"), warnings
}

func TestReadSignatures(t *testing.T) {
	big := apktest.File{Name: "lib/big.so", Content: strings.Repeat("0123456789abcdef", 3<<16+5), Stored: true} // three chunks and a part
	ec, ec384 := apktest.NewKey("EC", apktest.ECDSA256), apktest.NewKey("EC 384", apktest.ECDSA512)
	rsa, rsa512 := apktest.NewKey("RSA", apktest.RSA256), apktest.NewKey("RSA 512", apktest.RSA512)
	pss, pss512 := apktest.NewKey("PSS", apktest.PSS256), apktest.NewKey("PSS 512", apktest.PSS512)
	line := func(scheme string, k *apktest.Key, name, kind string) string {
		return fmt.Sprintf("%s %s CN=%s,O=Android,C=US %s", scheme, k.SHA256(), name, kind)
	}
	for _, row := range []struct {
		name string
		app  apktest.App
		want []string
	}{
		{"v1, RSA", apktest.App{V1: []*apktest.Key{rsa}}, []string{line("v1", rsa, "RSA", "RSA 2048")}},
		{"v1, EC", apktest.App{V1: []*apktest.Key{ec}}, []string{line("v1", ec, "EC", "EC 256")}},
		{"v1, two signers", apktest.App{V1: []*apktest.Key{rsa, ec}}, []string{line("v1", rsa, "RSA", "RSA 2048"), line("v1", ec, "EC", "EC 256")}},
		{"v2, RSA", apktest.App{V2: []*apktest.Key{rsa}}, []string{line("v2", rsa, "RSA", "RSA 2048")}},
		{"v2, RSA with SHA-512", apktest.App{V2: []*apktest.Key{rsa512}}, []string{line("v2", rsa512, "RSA 512", "RSA 2048")}},
		{"v2, RSA-PSS", apktest.App{V2: []*apktest.Key{pss}}, []string{line("v2", pss, "PSS", "RSA 2048")}},
		{"v2, RSA-PSS with SHA-512", apktest.App{V2: []*apktest.Key{pss512}}, []string{line("v2", pss512, "PSS 512", "RSA 2048")}},
		{"v2, EC", apktest.App{V2: []*apktest.Key{ec}}, []string{line("v2", ec, "EC", "EC 256")}},
		{"v2, EC with SHA-512", apktest.App{V2: []*apktest.Key{ec384}}, []string{line("v2", ec384, "EC 384", "EC 384")}},
		{"v2, two signers", apktest.App{V2: []*apktest.Key{rsa, ec384}}, []string{line("v2", rsa, "RSA", "RSA 2048"), line("v2", ec384, "EC 384", "EC 384")}},
		{"v3", apktest.App{V3: []*apktest.Key{ec}}, []string{line("v3", ec, "EC", "EC 256")}},
		{"all schemes, v3.1 by another key", apktest.App{V1: []*apktest.Key{rsa}, V2: []*apktest.Key{rsa}, V3: []*apktest.Key{rsa}, V31: []*apktest.Key{ec}}, []string{
			line("v2", rsa, "RSA", "RSA 2048"), line("v3", rsa, "RSA", "RSA 2048"), line("v3.1", ec, "EC", "EC 256"), line("v1", rsa, "RSA", "RSA 2048")}},
	} {
		row.app.Manifest, row.app.Files = shop, []apktest.File{big}
		content := row.app.Make()
		for _, part := range []int{1 << 20, 8191} {
			if got, warnings := signatures(t, content, part); got != strings.Join(row.want, "\n") || len(warnings) != 0 {
				t.Errorf("%s, in parts of %d: got\n%s\n%q\nwant\n%s", row.name, part, got, warnings, strings.Join(row.want, "\n"))
			}
		}
	}
}

func TestSignaturesThatAreWrong(t *testing.T) {
	key, other := apktest.NewKey("Shop", apktest.ECDSA256), apktest.NewKey("Thief", apktest.ECDSA256)
	keys := []*apktest.Key{key}
	replace := func(old, with string) func([]byte) []byte {
		return func(b []byte) []byte {
			if !bytes.Contains(b, []byte(old)) {
				panic("nothing to replace")
			}
			return bytes.Replace(b, []byte(old), []byte(with), 1)
		}
	}
	data := apktest.File{Name: "data", Content: "the contents of the app", Stored: true}
	block := func(id uint32, value string) func([]byte) []byte {
		return func(b []byte) []byte { return apktest.WithBlock(b, apktest.Pair(id, []byte(value))) }
	}
	for _, row := range []struct {
		name string
		app  apktest.App
		want string
	}{
		{"no signature", apktest.App{}, "it is not signed"},
		{"contents changed since", apktest.App{V2: keys, Signed: replace("contents", "c0ntents")}, "its contents are not what was signed (v2)"},
		{"the directory changed since", apktest.App{V3: keys, Signed: func(b []byte) []byte { b[bytes.LastIndex(b, []byte("PK\x01\x02"))+12] ^= 1; return b }}, "(v3)"},
		{"another certificate of the same key's size", apktest.App{V2: keys, Signed: replace(string(key.Certificate), string(other.Certificate[:len(key.Certificate)]))}, "another key|cannot be checked"},
		{"a signed part changed since", apktest.App{V3: keys, Signed: replace("\x18\x00\x00\x00\xff\xff\xff\x7f", "\x19\x00\x00\x00\xff\xff\xff\x7f")}, "does not verify"},
		{"other versions of Android than were signed", apktest.App{V3: keys, Signed: func(b []byte) []byte {
			at := bytes.LastIndex(b, []byte("\x18\x00\x00\x00\xff\xff\xff\x7f"))
			b[at]++
			return b
		}}, "for other versions of Android"},
		{"an algorithm that nobody knows", apktest.App{V2: keys, Signed: func(b []byte) []byte {
			at, end := bytes.Index(b, []byte("\x1a\x87\x09\x71")), bytes.Index(b, []byte("APK Sig Block 42"))
			copy(b[at:end], bytes.ReplaceAll(b[at:end], []byte("\x01\x02\x00\x00"), []byte("\x01\x7f\x00\x00")))
			return b
		}}, "no algorithm that is known"},
		{"v2 taken out of what v1 says has it", apktest.App{V1: keys, V2: keys, Signed: replace("\x1a\x87\x09\x71", "\x1b\x87\x09\x71")}, "it has one of v2 too, which was taken out"},
		{"v3 taken out of what v2 says has it", apktest.App{V2: keys, V3: keys, Signed: replace("\xc0\x68\x53\xf0", "\xc1\x68\x53\xf0")}, "it has one of v3 too, which was taken out"},
		{"v3.1 taken out of what v3 says has it", apktest.App{V3: keys, V31: keys, Signed: replace("\x61\xad\x93\x1b", "\x62\xad\x93\x1b")}, "it has one of v3.1 too, which was taken out"},
		{"a signing block of another size", apktest.App{V2: keys, Signed: func(b []byte) []byte { b[bytes.Index(b, []byte("APK Sig Block 42"))-8]++; return b }}, "two sizes|says it has"},
		{"a signing block whose entry is too large", apktest.App{Signed: func(b []byte) []byte {
			return apktest.WithBlock(b, []byte("\xff\xff\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"))
		}}, "an entry of its signing block"},
		{"a signing block that ends in an entry", apktest.App{Signed: func(b []byte) []byte { return apktest.WithBlock(b, []byte("\x01")) }}, "does not end after an entry"},
		{"v2 of nothing", apktest.App{Signed: block(0x7109871a, "")}, "v2 signature cannot be read"},
		{"v2 of no signers", apktest.App{Signed: block(0x7109871a, "\x00\x00\x00\x00")}, "no signer"},
		{"v3 of a signer that is cut off", apktest.App{Signed: block(0xf05368c0, "\x08\x00\x00\x00\x04\x00\x00\x00\xff\x00\x00\x00")}, "it is damaged"},
		{"v3 of a signer that is empty", apktest.App{Signed: block(0xf05368c0, "\x04\x00\x00\x00\x00\x00\x00\x00")}, "it is damaged"},
	} {
		row.app.Manifest, row.app.Files = shop, append(row.app.Files, data)
		_, warnings := signatures(t, row.app.Make(), 1<<20)
		first, second, _ := strings.Cut(row.want, "|")
		if got := strings.Join(warnings, "; "); !strings.Contains(got, first) && (second == "" || !strings.Contains(got, second)) {
			t.Errorf("%s: got %s, want %s", row.name, got, row.want)
		}
	}
}

// TestV1CertificateIsTheSigners has another certificate before the signer's.
func TestV1CertificateIsTheSigners(t *testing.T) {
	key, other := apktest.NewKey("Shop", apktest.RSA256), apktest.NewKey("Issuer", apktest.RSA256)
	app := apktest.App{Manifest: shop, V1: []*apktest.Key{key}, Added: func(files []apktest.File) []apktest.File {
		last := len(files) - 1
		files[last].Content = string(key.PKCS7([]byte(files[last-1].Content), []*apktest.Key{other}))
		return files
	}}
	got, warnings := signatures(t, app.Make(), 4096)
	if want := "v1 " + key.SHA256() + " CN=Shop,O=Android,C=US RSA 2048"; got != want || len(warnings) != 0 {
		t.Errorf("got %s, %q, want %s", got, warnings, want)
	}
}

// FuzzSignatures reads packages with hostile signing blocks and signatures of v1: what is signed by no key is never
// said to be without a fault. The lists of v1 are as they should be, so that it is the signature that is to blame.
func FuzzSignatures(f *testing.F) {
	key := apktest.NewKey("Shop", apktest.ECDSA256)
	signed := apktest.App{Manifest: shop, V2: []*apktest.Key{key}, V3: []*apktest.Key{key}}.Make()
	from := bytes.Index(signed, []byte("APK Sig Block 42")) + 16
	start := bytes.Index(signed, []byte("\x1a\x87\x09\x71")) - 8
	f.Add(signed[start:from-24], key.PKCS7([]byte("list"), nil))
	f.Fuzz(func(t *testing.T, pairs, pkcs7 []byte) {
		if len(pairs) > 1<<20 || len(pkcs7) > 1<<20 {
			return
		}
		content := apktest.WithBlock(apktest.App{Manifest: shop, V1: []*apktest.Key{key}, Added: func(files []apktest.File) []apktest.File {
			files[len(files)-1].Content = string(pkcs7)
			return files
		}}.Make(), pairs)
		if got, warnings := signatures(t, content, 4096); len(warnings) == 0 {
			t.Errorf("got %s without a warning", got)
		}
	})
}
