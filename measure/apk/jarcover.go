package apk

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
)

// errIgnored is of a signature that does not count, such as that of a library that was packed into the app with it.
var errIgnored = errors.New("it does not count")

// readSignatureFile reads which files of the manifest a .SF covers, and notes them by the signer's bit.
func (j *jar) readSignatureFile(content []byte, bit uint16) error {
	var head signatureFile
	var wrong error // what is not as it was signed; whether the signature counts is asked first, as apksigner does
	var covered []*listed
	first := true
	err := sections(content, func(s section) error {
		if first {
			first = false
			head, wrong = j.readSignatureHead(s)
			return wrong
		}
		name, err := s.file()
		if err != nil {
			return err
		}
		f, _ := j.archive.Find(name)
		l, known := j.files[f]
		switch {
		case !known && head.whole:
			return nil
		case !known:
			return fmt.Errorf("it lists %.200q, which %s does not", name, jarManifest)
		case l.signers&bit != 0:
			return fmt.Errorf("it lists %.200q twice", name)
		case !head.whole && wrong == nil && !s.digest("-Digest").of(j.sectionOf(l, head.signtool)):
			wrong = fmt.Errorf("what %s says of %.200q is not what was signed", jarManifest, name)
		}
		l.signers |= bit
		covered = append(covered, l)
		return nil
	})
	if err == nil && wrong == nil {
		return nil
	}
	for _, l := range covered {
		l.signers &^= bit
	}
	if err != nil && !errors.Is(err, wrong) {
		return fmt.Errorf("%w: %w", errIgnored, err)
	}
	return wrong
}

// signatureFile is what the first section of a .SF says.
type signatureFile struct {
	whole    bool // the manifest as a whole is what was signed: its sections need not be compared
	signtool bool // it was made by an old program that does some things in another way
}

// readSignatureHead reads the first section of a .SF.
func (j *jar) readSignatureHead(s section) (signatureFile, error) {
	if _, found := s.value("Signature-Version"); !found {
		return signatureFile{}, fmt.Errorf("%w: its list has no Signature-Version", errIgnored)
	}
	others, _ := s.value("X-Android-APK-Signed")
	for id := range strings.SplitSeq(string(others), ",") { // so that nobody takes the other signatures out unseen
		if id = strings.TrimLeft(strings.TrimFunc(id, isBlank), "+0"); (id == "2" || id == "3") && !j.found["v"+id] {
			return signatureFile{}, fmt.Errorf("it says that it has one of v%s too, which was taken out", id)
		}
	}
	creator, _ := s.value("Created-By")
	f := signatureFile{signtool: bytes.Contains(creator, []byte("signtool"))}
	kind := "-Digest-Manifest"
	if f.signtool {
		kind = "-Digest"
	}
	whole := s.digest(kind)
	if whole.hash != 0 && whole.sum == nil { // Android goes on by its sections, apksigner does not
		return f, fmt.Errorf("the digest of %s in its list is not in base64", jarManifest)
	}
	if f.whole = whole.of(j.manifest); f.signtool {
		return f, nil
	}
	if main := s.digest("-Digest-Manifest-Main-Attributes"); main.hash != 0 && !main.of(j.manifest[:j.head]) {
		return f, fmt.Errorf("the beginning of %s is not what was signed", jarManifest)
	}
	return f, nil
}

// sectionOf is the section of a file in the manifest, as it is signed.
func (j *jar) sectionOf(l *listed, signtool bool) []byte {
	content := j.manifest[l.from:l.to]
	if signtool && bytes.HasSuffix(content, []byte("\n\n")) {
		content = content[:len(content)-1]
	}
	return content
}

// coversAny says whether any file is in a list that is signed.
func (j *jar) coversAny() bool {
	for _, l := range j.files {
		if l.signers != 0 {
			return true
		}
	}
	return false
}

// streamed is the flag of a file whose sizes stand after it (APPNOTE.TXT 4.4.4).
const streamed = 1 << 3

// protected says whether v1 covers files of a name: as Android, though the JAR File Specification wants more.
func protected(name string) bool {
	return !strings.HasPrefix(name, jarFolder) && !strings.HasSuffix(name, "/")
}

// cover says which signers cover the files: all the same ones. If files are to be compared, their sizes must be certain.
func (j *jar) cover(compare bool) uint16 {
	if len(j.faults) > 0 {
		return 0
	}
	var used uint16
	for _, f := range j.archive.Files() {
		if !protected(f.Name) {
			continue
		}
		l, known := j.files[f]
		switch {
		case !known || l.want.hash == 0:
			j.fault("its file %.200q is not in %s, which lists what v1 signs, or without a digest", f.Name, jarManifest)
		case l.signers == 0:
			j.fault("its file %.200q is in no list that is signed by v1", f.Name)
		case compare && (f.Flags^f.Local)&streamed != 0:
			j.fault("its file %.200q has its sizes after it by what stands before it or by the directory, but not by both", f.Name)
		case used != 0 && l.signers != used:
			j.fault("its file %.200q is signed by other signers of v1 than the files before it", f.Name)
		default:
			used = l.signers
		}
	}
	return used
}
