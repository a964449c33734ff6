package traefikplugin

import (
	"strconv"
	"testing"
)

func TestTheCacheForgetsWhatWasNotUsedForLongest(t *testing.T) {
	c := newCache()
	for i := 0; i < cacheEntries; i++ {
		c.Add(strconv.Itoa(i), i)
	}
	c.Get("0")
	c.Add("1", "again")
	c.Add("one more", -1)
	for key, want := range map[string]interface{}{"0": 0, "1": "again", "2": nil, "3": 3, "one more": -1} {
		if got, ok := c.Get(key); got != want || ok != (want != nil) {
			t.Errorf("%s: got %v, %v, want %v", key, got, ok, want)
		}
	}
}
