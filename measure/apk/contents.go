package apk

import (
	"crypto"
	"encoding/binary"
	"hash"
)

// The digest over a package's contents ("APK Signature Scheme v2", Integrity-protected contents): of the digests of
// chunks of a megabyte.
const (
	chunkSize  = 1 << 20
	chunkMark  = 0xa5
	digestMark = 0x5a
	endOffset  = 16 // bytes from the end record to where it says the directory is
)

// contents computes the digests over a package from its bytes, which are written to it in order.
type contents struct {
	sections [3][2]int64 // files, directory, end: all but the signing block
	at       int64       // the next byte
	end      []byte      // of the section of that name, which is changed before it counts
	digests  []*chunked
}

// chunked is a digest by one hash.
type chunked struct {
	hash  crypto.Hash
	chunk hash.Hash
	whole hash.Hash
}

// newContents is for a package whose files end where its signing block begins.
func newContents(filesEnd, directory, end, size int64, hashes []crypto.Hash) *contents {
	c := &contents{sections: [3][2]int64{{0, filesEnd}, {directory, end}, {end, size}}}
	count := int64(0)
	for _, s := range c.sections {
		count += (s[1] - s[0] + chunkSize - 1) / chunkSize
	}
	for _, h := range hashes {
		d := &chunked{h, h.New(), h.New()}
		d.whole.Write(binary.LittleEndian.AppendUint32([]byte{digestMark}, uint32(count)))
		c.digests = append(c.digests, d)
	}
	return c
}

// Write takes the next bytes of the package.
func (c *contents) Write(p []byte) (int, error) {
	if len(c.digests) == 0 {
		return len(p), nil
	}
	for rest := p; len(rest) > 0; {
		n := int64(len(rest)) // bytes between sections
		for i, s := range c.sections {
			switch {
			case c.at < s[0]:
				n = min(n, s[0]-c.at)
			case c.at < s[1]:
				n = c.take(i, rest)
			default:
				continue
			}
			break
		}
		c.at += n
		rest = rest[n:]
	}
	return len(p), nil
}

// take takes bytes of a section, up to the end of a chunk.
func (c *contents) take(section int, p []byte) int64 {
	from, to := c.sections[section][0], c.sections[section][1]
	done := c.at - from
	n := min(int64(len(p)), to-c.at, chunkSize-done%chunkSize)
	if section == 2 { // at most an end record and its comment, which are less than a chunk
		if c.end = append(c.end, p[:n]...); c.at+n == to {
			if len(c.end) >= endOffset+4 {
				binary.LittleEndian.PutUint32(c.end[endOffset:], uint32(c.sections[0][1]))
			}
			c.add(c.end, true, true, int64(len(c.end)))
		}
		return n
	}
	first, last := done%chunkSize == 0, (done+n)%chunkSize == 0 || c.at+n == to
	c.add(p[:n], first, last, min(chunkSize, to-c.at))
	return n
}

// add adds bytes of a chunk of so many.
func (c *contents) add(p []byte, first, last bool, size int64) {
	for _, d := range c.digests {
		if first {
			d.chunk.Reset()
			d.chunk.Write(binary.LittleEndian.AppendUint32([]byte{chunkMark}, uint32(size)))
		}
		d.chunk.Write(p)
		if last {
			d.whole.Write(d.chunk.Sum(nil))
		}
	}
}

// sum is the digest by a hash; nil: not computed, or not all bytes have come.
func (c *contents) sum(h crypto.Hash) []byte {
	for _, d := range c.digests {
		if d.hash == h && c.at == c.sections[2][1] {
			return d.whole.Sum(nil)
		}
	}
	return nil
}
