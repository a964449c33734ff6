package packages_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/approovgate/approovgate/internal/apktest"
)

// fewestAPKs is how many real packages there must be, so that the tests are of something.
const fewestAPKs = 6

// TestRealAPKs reads packages that others made, and compares with aapt and apksigner.
func TestRealAPKs(t *testing.T) {
	apkNeeds(t, map[string]string{"aapt": installAapt, "apksigner": installApksigner, framework: installFramework, npm + "/android-apidemos": "make npm-packages"})
	all := apks(t)
	if len(all) < fewestAPKs {
		t.Errorf("got %d packages, want %d", len(all), fewestAPKs)
	}
	for _, path := range append(all, framework) {
		t.Run(filepath.Base(filepath.Dir(filepath.Dir(path)))+"/"+filepath.Base(path), func(t *testing.T) {
			if got, want := ourManifest(t, path), aaptManifest(t, path); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
			got, warnings := ourSigners(t, path)
			if path == framework {
				if len(got) != 0 || len(warnings) != 1 || !strings.Contains(warnings[0], "is not signed") {
					t.Errorf("got signers %v, %q, want none", got, warnings)
				}
				return
			}
			if want := apksignerSigners(t, path); !reflect.DeepEqual(got, want) || len(warnings) != 0 {
				t.Errorf("got signers %v, %q, want %v", got, warnings, want)
			}
		})
	}
}

// signer is a key as apksigner takes it.
type signer struct{ key, certificate string }

func newSigner(t *testing.T, name string, key crypto.Signer) signer {
	t.Helper()
	folder := t.TempDir()
	s := signer{filepath.Join(folder, strings.ReplaceAll(name, " ", "")), filepath.Join(folder, "certificate")} // signers by v1 have the key's name
	template := &x509.Certificate{SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: name}, NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<32, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for path, content := range map[string][]byte{s.key: private, s.certificate: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func (s signer) arguments() []string { return []string{"--key", s.key, "--cert", s.certificate} }

// TestAPKsSignedByApksigner signs a package by each scheme, with keys of each kind, and with a key that was rotated.
func TestAPKsSignedByApksigner(t *testing.T) {
	apkNeeds(t, map[string]string{"apksigner": installApksigner})
	unsigned := filepath.Join(t.TempDir(), "unsigned.apk")
	app := apktest.App{Manifest: apktest.Manifest{Package: "com.example.shop", VersionName: "2.0", VersionCode: 3, MinSDK: 18, TargetSDK: 29},
		Files: []apktest.File{{Name: "classes.dex", Content: strings.Repeat("dex\n035", 1000)}, {Name: "lib/arm64-v8a/libx.so", Content: strings.Repeat("\x7fELF", 600<<10), Stored: true}}}
	if err := os.WriteFile(unsigned, app.Make(), 0o600); err != nil {
		t.Fatal(err)
	}
	key := func(s crypto.Signer, err error) crypto.Signer {
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	rsa2048 := newSigner(t, "RSA 2048", key(rsa.GenerateKey(rand.Reader, 2048)))
	rsa4096 := newSigner(t, "RSA 4096", key(rsa.GenerateKey(rand.Reader, 4096)))
	ec256 := newSigner(t, "EC 256", key(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)))
	ec384 := newSigner(t, "EC 384", key(ecdsa.GenerateKey(elliptic.P384(), rand.Reader)))
	lineage := filepath.Join(t.TempDir(), "lineage")
	must(t, "apksigner", append(append(append([]string{"rotate", "--out", lineage, "--old-signer"}, rsa2048.arguments()...), "--new-signer"), ec256.arguments()...)...)
	schemes := func(all string) []string {
		var arguments []string
		for _, one := range []string{"v1", "v2", "v3"} {
			arguments = append(arguments, "--"+one+"-signing-enabled", fmt.Sprint(strings.Contains(all, one)))
		}
		return append(arguments, "--v4-signing-enabled", "false")
	}
	for _, row := range []struct {
		name, schemes string
		arguments     []string
	}{
		{"v1, RSA 2048", "v1", rsa2048.arguments()},
		{"v1, EC 256", "v1", ec256.arguments()},
		{"v2, RSA 2048", "v2", rsa2048.arguments()},
		{"v2, RSA 4096", "v2", rsa4096.arguments()},
		{"v3, EC 256", "v3", ec256.arguments()},
		{"v3, EC 384", "v3", ec384.arguments()},
		{"all, EC 384", "v1 v2 v3", ec384.arguments()},
		{"all, RSA 4096", "v1 v2 v3", rsa4096.arguments()},
		{"digests of fs-verity beside the others", "v1 v2 v3", append(rsa2048.arguments(), "--verity-enabled", "true")},
		{"two signers", "v1 v2", append(append(rsa2048.arguments(), "--next-signer"), ec256.arguments()...)},
		{"a rotated key", "v1 v2 v3", append(append(append([]string{"--lineage", lineage}, rsa2048.arguments()...), "--next-signer"), ec256.arguments()...)},
	} {
		t.Run(row.name, func(t *testing.T) {
			signed := filepath.Join(t.TempDir(), "signed.apk")
			must(t, "apksigner", append(append([]string{"sign", "--in", unsigned, "--out", signed}, schemes(row.schemes)...), row.arguments...)...)
			got, warnings := ourSigners(t, signed)
			if want := apksignerSigners(t, signed); !reflect.DeepEqual(got, want) || len(got) != len(strings.Fields(row.schemes)) || len(warnings) != 0 {
				t.Errorf("got %v, %q, want %v", got, warnings, want)
			}
			if got, want := lineages(t, signed), strings.Contains(row.name, "rotated"); want && (len(got) != 1 || len(got[0]) != 2) || !want && len(got) != 0 {
				t.Errorf("got lineages %v, want one of two certificates: %v", got, want)
			}
		})
	}
}

const aaptManifestText = `<manifest xmlns:android="http://schemas.android.com/apk/res/android" package="com.example.shop"
	android:versionCode="%s" android:versionName="%s"><uses-sdk android:minSdkVersion="21" android:targetSdkVersion="29"/>
	<application android:label="@string/name" android:debuggable="%s" android:testOnly="%s"/></manifest>`

// TestManifestsOfAapt has aapt and aapt2 make packages of manifests.
func TestManifestsOfAapt(t *testing.T) {
	apkNeeds(t, map[string]string{"aapt": installAapt, "aapt2": installAapt, framework: installFramework})
	folder := t.TempDir()
	resources := filepath.Join(folder, "res")
	for name, text := range map[string]string{
		"values/strings.xml":    `<resources><string name="name">Shop</string><string name="version">@string/other</string><string name="other">2.0-β</string></resources>`,
		"values-de/strings.xml": `<resources><string name="other">zwei</string><string name="name">Laden</string></resources>`,
	} {
		path := filepath.Join(resources, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	compiled := filepath.Join(folder, "compiled.zip")
	must(t, "aapt2", "compile", "--dir", resources, "-o", compiled)
	manifest := filepath.Join(folder, "AndroidManifest.xml")
	for _, row := range []struct{ name, code, version, debuggable, testOnly string }{
		{"a literal version", "3", "2.0", "false", "false"},
		{"a version that is a resource", "3", "@string/version", "true", "false"},
		{"a version with brackets, for tests", "12", "1.0 (beta)", "false", "true"},
		{"a version beyond ASCII", "2147483647", "β😀", "false", "false"},
	} {
		text := fmt.Sprintf(aaptManifestText, row.code, row.version, row.debuggable, row.testOnly)
		if err := os.WriteFile(manifest, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		for name, arguments := range map[string][]string{
			"aapt":         {"aapt", "package", "-f", "-M", manifest, "-S", resources, "-I", framework, "-F"},
			"aapt utf16":   {"aapt", "package", "-f", "--utf16", "-M", manifest, "-S", resources, "-I", framework, "-F"},
			"aapt2":        {"aapt2", "link", "--manifest", manifest, "-I", framework, compiled, "-o"},
			"aapt2 sparse": {"aapt2", "link", "--enable-sparse-encoding", "--manifest", manifest, "-I", framework, compiled, "-o"},
		} {
			t.Run(row.name+"/"+name, func(t *testing.T) {
				made := filepath.Join(t.TempDir(), "made.apk")
				must(t, arguments[0], append(arguments[1:], made)...)
				if got, want := ourManifest(t, made), aaptManifest(t, made); got != want {
					t.Errorf("got %s, want %s", got, want)
				}
			})
		}
	}
}

// TestAPKSignedWithDSA names the signer, and says that the signature is not checked.
func TestAPKSignedWithDSA(t *testing.T) {
	apkNeeds(t, map[string]string{"apksigner": installApksigner, "keytool": "apt-get install default-jre-headless"})
	folder := t.TempDir()
	store, signed := filepath.Join(folder, "store"), filepath.Join(folder, "signed.apk")
	must(t, "keytool", "-genkeypair", "-keyalg", "DSA", "-keysize", "2048", "-sigalg", "SHA256withDSA", "-dname", "CN=DSA", "-alias", "dsa", "-keystore", store, "-storepass", "password")
	unsigned := filepath.Join(folder, "unsigned.apk")
	if err := os.WriteFile(unsigned, apktest.App{Manifest: apktest.Manifest{Package: "com.example.shop", MinSDK: 24, TargetSDK: 29}}.Make(), 0o600); err != nil {
		t.Fatal(err)
	}
	must(t, "apksigner", "sign", "--ks", store, "--ks-pass", "pass:password", "--v1-signing-enabled", "true", "--in", unsigned, "--out", signed)
	got, warnings := ourSigners(t, signed)
	want := apksignerSigners(t, signed)
	for scheme, all := range want {
		if len(got[scheme]) != len(all) || !strings.HasPrefix(all[0], got[scheme][0]) {
			t.Errorf("%s: got %v, want %v", scheme, got[scheme], all)
		}
	}
	if len(got) != 3 || len(want) < 2 || len(warnings) == 0 {
		t.Errorf("got %v, %q, want %v and warnings", got, warnings, want)
	}
	for _, text := range warnings {
		if !strings.Contains(text, "DSA, which is not checked") {
			t.Errorf("got the warning %q", text)
		}
	}
}
