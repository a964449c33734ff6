package apk

import (
	"fmt"

	"github.com/approovgate/approovgate/measure/axml"
	"github.com/approovgate/approovgate/measure/zipfile"
)

// manifestReader gathers what elements say.
type manifestReader struct {
	archive *zipfile.Archive
	m       Manifest
	inside  bool        // the outermost element is a manifest
	app     bool        // an application has been seen; Android takes the first
	table   *axml.Table // nil: not read yet
	noTable string      // why it cannot be read
}

// element takes what one element says, as the PackageParser of Android does: by place and name.
func (r *manifestReader) element(e axml.Element) error {
	switch {
	case e.Depth == 1 && !r.inside:
		if e.Name != "manifest" {
			return fmt.Errorf("its outermost element is %.80q, not manifest", e.Name)
		}
		r.inside = true
		r.manifest(e)
	case e.Depth == 2 && e.Name == "application" && !r.app:
		r.app = true
		r.m.Debuggable = r.truth(e.ByID(attrDebuggable))
		r.m.TestOnly = r.truth(e.ByID(attrTestOnly))
	case e.Depth == 2 && e.Name == "uses-sdk":
		r.m.MinSDK, _ = r.resolve(e.ByID(attrMinSDK)).Integer()
		r.m.TargetSDK, _ = r.resolve(e.ByID(attrTargetSDK)).Integer()
	}
	return nil
}

func (r *manifestReader) manifest(e axml.Element) {
	r.m.Package, r.m.Split = e.ByName("package"), e.ByName("split")
	code, _ := r.resolve(e.ByID(attrVersionCode)).Integer()
	major, _ := r.resolve(e.ByID(attrVersionCodeMajor)).Integer()
	r.m.VersionCode = uint64(major)<<32 | uint64(code)
	name := e.ByID(attrVersionName)
	r.m.VersionName = r.resolve(name).Text()
	if name.Kind == axml.KindReference && r.m.VersionName == "" {
		r.m.Warnings = append(r.m.Warnings, fmt.Sprintf("its version name is the resource %#x, which is not found%s", name.Data, r.noTable))
	}
}

func (r *manifestReader) truth(v axml.Value) bool {
	n, _ := r.resolve(v).Integer()
	return n != 0
}

// resolve is a value itself, or that of the resource it refers to.
func (r *manifestReader) resolve(v axml.Value) axml.Value {
	if v.Kind != axml.KindReference {
		return v
	}
	if r.table == nil && r.noTable == "" {
		content, err := readWhole(r.archive, tableName, MaxTable)
		if err == nil {
			r.table, err = axml.ReadTable(content)
		}
		if err != nil {
			r.noTable = fmt.Sprintf(": %s: %v", tableName, err)
		}
	}
	if r.table == nil {
		return axml.Value{}
	}
	resolved, _ := r.table.Resolve(v.Data)
	return resolved
}
