package apk

import (
	"crypto/x509"
	"errors"
	"fmt"
	"path"
	"strings"

	"github.com/approovgate/approovgate/measure/zipfile"
)

// The bounds of scheme v1.
const (
	maxJarBlock = 1 << 20  // bytes of a signature's file
	maxJarList  = 16 << 20 // bytes of a list of files
)

// The files of scheme v1. Android takes those whose names are in small letters too, apksigner does not.
const (
	jarFolder   = "META-INF/"
	jarManifest = "META-INF/MANIFEST.MF"
)

// jar checks the signatures of scheme v1: META-INF/NAME.RSA, .DSA or .EC signs META-INF/NAME.SF, that the list of files,
// META-INF/MANIFEST.MF, and that each file by its digest.
type jar struct {
	archive  *zipfile.Archive
	found    map[string]bool // which of schemes v2 and v3 were found
	manifest []byte
	head     int // bytes of the manifest that are not of files
	files    map[*zipfile.File]*listed
	list     []byte // room for that of a signature
	signers  []jarSigner
	ignored  []string // signatures that do not count, and why: Android and apksigner go on without them
	faults   []string // what neither Android nor apksigner takes
}

// listed is what the lists say of a file.
type listed struct {
	fileCheck        // by the manifest
	from, to  int    // its section in the manifest
	signers   uint16 // a bit for each whose list it is in
}

// jarSigner is a signer whose list is one of this package.
type jarSigner struct {
	name      string
	signer    Signer
	unchecked error // why the signature is not checked
}

// readV1 reads the signatures of scheme v1. If there are others Android 7 and later goes by those: only the signers of v1
// are told then, and what is wrong with them, but files are not compared with the list.
func (s *Signatures) readV1(a *zipfile.Archive, found map[string]bool) {
	j := &jar{archive: a, found: found, files: map[*zipfile.File]*listed{}}
	blocks := j.blocks()
	if len(blocks) == 0 {
		return
	}
	j.read(blocks)
	consequence := "Android would not install it"
	switch {
	case len(found) > 0 && len(j.faults) == 0 && !j.coversAny():
		return // it is not signed by v1: what is there came with a library
	case found[SchemeV2]:
		consequence = "Android before 7 would not install it"
	case len(found) > 0:
		consequence = "Android before 9 would not install it"
	}
	if len(j.signers) == 0 && len(j.faults) == 0 {
		j.faults = j.ignored
	}
	used := j.cover(len(found) == 0)
	for i, one := range j.signers {
		if used&(1<<i) == 0 {
			continue
		}
		s.signers = append(s.signers, one.signer)
		if one.unchecked != nil {
			s.warn("its v1 signature %.200q is not checked: %v", one.name, one.unchecked)
		}
	}
	if used == 0 && len(j.faults) == 0 {
		j.fault("its v1 signature is of no file")
	}
	for _, fault := range j.faults[:min(len(j.faults), maxFaults)] {
		s.warn("%s: %s", fault, consequence)
	}
	if more := len(j.faults) - maxFaults; more > 0 {
		s.warn("%d more files or signatures are not as v1 has them", more)
	}
	if len(j.faults) == 0 && len(found) == 0 {
		s.files = j.files
	}
}

// maxFaults is how many faults of one kind are told.
const maxFaults = 10

func (j *jar) fault(format string, arguments ...any) {
	j.faults = append(j.faults, fmt.Sprintf(format, arguments...))
}

// blocks are the names of the files that sign. A file beside one whose name is the same but for capitals is what Android
// may take in its place.
func (j *jar) blocks() []string {
	var all []string
	folded := map[string]string{}
	for _, f := range j.archive.Files() {
		if !strings.HasPrefix(f.Name, jarFolder) {
			continue
		}
		upper := strings.ToUpper(f.Name)
		extension := path.Ext(upper)
		block := extension == ".RSA" || extension == ".DSA" || extension == ".EC"
		if !block && extension != ".SF" && upper != jarManifest {
			continue
		}
		if other, twice := folded[upper]; twice {
			j.fault("its files %.200q and %.200q are the same for Android, which takes any of them", other, f.Name)
		}
		folded[upper] = f.Name
		if block {
			all = append(all, f.Name)
		}
	}
	return all
}

// read reads the list of files, and each signature.
func (j *jar) read(blocks []string) {
	var err error
	if _, there := j.archive.Find(jarManifest); !there && len(j.found) > 0 {
		return
	}
	if j.manifest, err = readWhole(j.archive, jarManifest, maxJarList); err != nil {
		j.fault("its v1 signature has no list of files: %v", err)
		return
	}
	if err := j.readManifest(); err != nil {
		j.fault("%s: %v", jarManifest, err)
		return
	}
	over := map[string]string{}
	for _, name := range blocks {
		extension := path.Ext(name)
		list := strings.TrimSuffix(name, extension) + ".SF"
		if extension != strings.ToUpper(extension) {
			j.ignored = append(j.ignored, fmt.Sprintf("its v1 signature %.200q does not count, since its name is not in capitals", name))
			continue
		}
		if _, found := j.archive.Find(list); !found {
			j.ignored = append(j.ignored, fmt.Sprintf("its v1 signature %.200q is over %.200q, and there is no %.200q in it", name, list, list))
			continue
		}
		if other, twice := over[list]; twice {
			j.fault("its v1 signatures %.200q and %.200q are over one list: Android takes any of them", other, name)
			return
		}
		if over[list] = name; len(j.signers) == maxSigners {
			j.fault("it has more than %d signatures of v1", maxSigners)
			return
		}
		one, err := j.readSigner(name, list)
		switch {
		case errors.Is(err, errIgnored):
			j.ignored = append(j.ignored, fmt.Sprintf("its v1 signature %.200q: %v", name, err))
		case err != nil:
			j.fault("its v1 signature %.200q: %v", name, err)
		default:
			j.signers = append(j.signers, one)
		}
	}
}

// readManifest reads which files there should be. Each must be there.
func (j *jar) readManifest() error {
	first := true
	return sections(j.manifest, func(s section) error {
		if first {
			first, j.head = false, s.to
			return nil
		}
		name, err := s.file()
		if err != nil {
			return err
		}
		f, found := j.archive.Find(name)
		if !found || strings.HasSuffix(name, "/") {
			return fmt.Errorf("it lists %.200q, which is no file of the package", name)
		}
		if _, twice := j.files[f]; twice {
			return fmt.Errorf("it lists %.200q twice", name)
		}
		j.files[f] = &listed{from: s.from, to: s.to, fileCheck: newFileCheck(s.digest("-Digest"), f.Size)}
		return nil
	})
}

// readSigner reads a signature, and which of the files it covers.
func (j *jar) readSigner(name, list string) (jarSigner, error) {
	block, err := readWhole(j.archive, name, maxJarBlock)
	if err != nil {
		return jarSigner{}, err
	}
	content, err := readInto(j.list, j.archive, list, maxJarList)
	if err != nil {
		return jarSigner{}, err
	}
	j.list = content
	p, err := readPKCS7(block)
	if err != nil {
		return jarSigner{}, err
	}
	var certificate *x509.Certificate
	one := jarSigner{name: name}
	if one.signer, certificate = newSigner(SchemeV1, p.certificate); certificate == nil {
		one.unchecked = errors.New("the certificate cannot be read")
	} else if err := p.verify(certificate, content); errors.Is(err, errUnchecked) {
		one.unchecked = err
	} else if err != nil {
		return jarSigner{}, err
	}
	return one, j.readSignatureFile(content, 1<<len(j.signers))
}
