package apk

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"path"
	"strings"

	"github.com/approovgate/approovgate/measure/zipfile"
)

// The bounds of scheme v1.
const (
	maxJarSigners = maxSigners
	maxJarBlock   = 1 << 20  // bytes of a signature's file
	maxJarList    = 16 << 20 // bytes of the list of files that it is over
	maxJarSection = 64 << 10 // bytes of its first section that are looked at
)

// readV1 adds the signers of scheme v1: each has a file META-INF/NAME.RSA, .DSA or .EC, which signs META-INF/NAME.SF.
func (s *Signatures) readV1(a *zipfile.Archive, others bool) error {
	signers := 0
	for _, f := range a.Files() {
		folder, name := path.Split(f.Name)
		extension := strings.ToUpper(path.Ext(name))
		if !strings.EqualFold(folder, "META-INF/") || extension != ".RSA" && extension != ".DSA" && extension != ".EC" {
			continue
		}
		if signers++; signers > maxJarSigners {
			return fmt.Errorf("it has more than %d signatures of v1", maxJarSigners)
		}
		content, err := readWhole(a, f.Name, maxJarBlock)
		if err != nil {
			return err
		}
		p, err := readPKCS7(content)
		if err != nil {
			s.warn("its v1 signature %.200q cannot be read: %v", f.Name, err)
			continue
		}
		signer, certificate := newSigner(SchemeV1, p.certificate)
		s.signers = append(s.signers, signer)
		list := strings.TrimSuffix(f.Name, path.Ext(f.Name)) + ".SF"
		signed, err := readWhole(a, list, maxJarList)
		if err != nil {
			s.warn("its v1 signature %.200q is over %.200q: %v", f.Name, list, err)
			continue
		}
		s.checkV1(f.Name, p, certificate, signed, others)
	}
	return nil
}

func (s *Signatures) checkV1(name string, p pkcs7, certificate *x509.Certificate, signed []byte, others bool) {
	if certificate == nil {
		s.warn("its v1 signature %.200q cannot be checked: the certificate cannot be read", name)
	} else if err := p.verify(certificate, signed); err != nil {
		s.warn("its v1 signature %.200q: %v", name, err)
	}
	// The first section says which other schemes it was signed by, so that nobody takes them out unseen.
	section := signed[:min(len(signed), maxJarSection)]
	for _, gap := range []string{"\r\n\r\n", "\n\n"} {
		section, _, _ = bytes.Cut(section, []byte(gap))
	}
	if bytes.Contains(section, []byte("X-Android-APK-Signed:")) && !others {
		s.warn("its v1 signature says that it has later ones too, which were taken out: Android would not install it")
	}
}
