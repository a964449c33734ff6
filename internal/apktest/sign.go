package apktest

import (
	"bytes"
	"crypto/x509"
	"encoding/binary"
)

// sized puts a part's length before it, as all of schemes v2 and v3 is written.
func sized(parts ...[]byte) []byte {
	all := join(parts...)
	return append(u32(uint32(len(all))), all...)
}

func u64(v int) []byte { return binary.LittleEndian.AppendUint64(nil, uint64(v)) }

// sign puts a signing block before the directory, if there is any signer.
func sign(apk []byte, v2, v3, v31 []*Key, lineage []byte) []byte {
	var pairs []byte
	directory := int(binary.LittleEndian.Uint32(apk[len(apk)-6:]))
	var later, rotated []byte // attributes that say which schemes are there too, so that nobody takes them out
	if len(v3) > 0 {
		later = sized(u32(0xbeeff00d), u32(3))
	}
	if len(v31) > 0 {
		rotated = sized(u32(0x559f8b02), u32(33))
	}
	for _, scheme := range []struct {
		id         uint32
		keys       []*Key
		v3         []byte // the SDKs it is for
		attributes []byte
	}{{0x7109871a, v2, nil, later}, {0xf05368c0, v3, join(u32(24), u32(0x7fffffff)), join(lineage, rotated)}, {0x1b93ad61, v31, join(u32(33), u32(0x7fffffff)), nil}} {
		var signers []byte
		for _, key := range scheme.keys {
			signers = append(signers, sized(key.signerBlock(apk, directory, scheme.v3, scheme.attributes))...)
		}
		if len(scheme.keys) > 0 {
			pairs = append(pairs, Pair(scheme.id, sized(signers))...)
		}
	}
	if pairs == nil {
		return apk
	}
	return WithBlock(apk, append(pairs, Pair(0x42726577, make([]byte, 64))...)) // the last is padding
}

// Pair is an entry of a signing block.
func Pair(id uint32, value []byte) []byte {
	return join(u64(len(value)+4), u32(id), value)
}

// WithBlock puts a signing block before the directory of a package that has none.
func WithBlock(apk, pairs []byte) []byte {
	directory := int(binary.LittleEndian.Uint32(apk[len(apk)-6:]))
	size := len(pairs) + 24
	block := join(u64(size), pairs, u64(size), []byte("APK Sig Block 42"))
	signed := join(apk[:directory], block, apk[directory:])
	copy(signed[len(signed)-6:], u32(uint32(directory+len(block))))
	return signed
}

// signerBlock is a signer of scheme v2, or of v3 if it is for some SDKs.
func (k *Key) signerBlock(apk []byte, directory int, sdks, attributes []byte) []byte {
	data := join(sized(sized(u32(k.Algorithm), sized(k.contentDigest(apk, directory)))), sized(sized(k.Certificate)), sdks, sized(attributes))
	return join(sized(data), sdks, sized(sized(u32(k.Algorithm), sized(k.sign(data)))), sized(must(x509.MarshalPKIXPublicKey(k.signer.Public()))))
}

// contentDigest is the digest over chunks of a megabyte, of a package that has no signing block.
func (k *Key) contentDigest(apk []byte, directory int) []byte {
	end := len(apk) - 22
	var digests []byte
	count := 0
	for _, section := range [][]byte{apk[:directory], apk[directory:end], apk[end:]} {
		for r := bytes.NewBuffer(section); r.Len() > 0; count++ {
			part := r.Next(1 << 20)
			digests = append(digests, k.digest(join([]byte{0xa5}, u32(uint32(len(part))), part))...)
		}
	}
	return k.digest(join([]byte{0x5a}, u32(uint32(count)), digests))
}

// Sign signs a package that is not signed, by scheme v2.
func Sign(apk []byte, keys ...*Key) []byte { return sign(apk, keys, nil, nil, nil) }

// lineage is the attribute that says which keys a signer of v3 had before; nil: none.
func (a App) lineage() []byte {
	if len(a.Lineage) == 0 {
		return nil
	}
	var nodes []byte
	for i, k := range a.Lineage {
		by, with := k, uint32(0)
		var signature []byte
		if i > 0 {
			with = a.Lineage[i-1].Algorithm
			if by = a.Lineage[i-1]; a.Forged {
				by = a.Lineage[len(a.Lineage)-1]
			}
		}
		data := join(sized(k.Certificate), u32(with))
		if i > 0 {
			signature = by.sign(data)
		}
		nodes = append(nodes, sized(sized(data), u32(0x17), u32(k.Algorithm), sized(signature))...)
	}
	return sized(u32(0x3ba06f8c), u32(1), nodes)
}
