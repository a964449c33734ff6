package h1

import (
	"math/bits"
	"sync"
)

// Buffers come in sizes of powers of two. What is larger than the largest is left to the garbage collector.
const (
	minBuffer   = 4 << 10
	bufferSizes = 6 // up to 128 KiB: a request's header and its longest content
)

// buffer is memory that is lent.
type buffer struct{ bytes []byte }

// buffers lends buffers. The zero value is ready.
type buffers [bufferSizes]sync.Pool

// get lends a buffer of at least size bytes; its length is its capacity.
func (p *buffers) get(size int) *buffer {
	class := max(0, bits.Len(uint(size-1))-bits.Len(minBuffer-1))
	if class >= bufferSizes {
		return &buffer{make([]byte, size)}
	}
	if b, ok := p[class].Get().(*buffer); ok {
		return b
	}
	return &buffer{make([]byte, minBuffer<<class)}
}

// put takes a buffer back, which may have grown.
func (p *buffers) put(b *buffer) {
	class := bits.Len(uint(cap(b.bytes))) - bits.Len(minBuffer)
	if class >= 0 && class < bufferSizes {
		b.bytes = b.bytes[:cap(b.bytes)]
		p[class].Put(b)
	}
}
