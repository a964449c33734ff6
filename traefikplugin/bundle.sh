#!/bin/sh
# bundle.sh OUT writes into the folder OUT/plugins-local what a Traefik needs to load the plugin, and beside it a
# tarball of the same (OUT is relative to the repository): only files of this repository that the go tool chooses, no tests, nothing of others. The same
# sources give the same bytes.
set -eu
out=$1
cd "$(dirname "$0")/.."
module=$(go list -m)
root=$out/plugins-local
rm -rf "$root"
mkdir -p "$root/src/$module"
list=$(GOOS=linux GOARCH=amd64 CGO_ENABLED=0 go list -deps \
	-f '{{if not .Standard}}{{.ImportPath}}|{{.Dir}}|{{join .GoFiles " "}}{{end}}' ./traefikplugin)
echo "$list" | while IFS='|' read -r path dir files; do
	case $path in
	"") continue ;;
	"$module"/*) ;;
	*) echo "the plugin imports $path; it may use the standard library and this repository alone" >&2; exit 1 ;;
	esac
	mkdir -p "$root/src/$path"
	for file in $files; do
		cp "$dir/$file" "$root/src/$path/$file"
	done
done
cp .traefik.yml LICENSE "$root/src/$module/"
printf 'module %s\n\ngo 1.22\n' "$module" >"$root/src/$module/go.mod"
find "$root" -type d -exec chmod 755 {} +
find "$root" -type f -exec chmod 644 {} +
tar --create --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner --format=ustar --directory "$out" plugins-local |
	gzip -n -9 >"$out/approovgate-traefik-plugin.tar.gz"
