//go:build !unix

package h1

// supported says that talk works here. Without it every request goes to Fallback.
const supported = false

func (c *conn) talk(uintptr) (done bool) { panic("not reached: nothing is taken on this system") }

func hungUp(error) bool { return false }
