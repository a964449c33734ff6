#!/bin/sh
# build.sh VERSION OUT builds a real Traefik of that version into the file OUT, from its published module: the server
# that the tests of traefikplugin/e2e start. Needs Go and the network; about 8 minutes of processor time the first time.
set -eu
version=$1
mkdir -p "$(dirname "$2")"
out=$(cd "$(dirname "$2")" && pwd)/$(basename "$2")
dir=$out-build

# A module that replaces others, as Traefik's does, can only be built as a dependency of a main module that repeats the
# replacements. With no local folder for one of them, which the published module lacks, two empty structs stand in.
mkdir -p "$dir/ext"
cd "$dir"
printf 'module github.com/traefik/traefik/dynamic/ext\n\ngo 1.22\n' >ext/go.mod
printf '// Package ext stands in for a folder that Traefik does not publish.\npackage ext\n\ntype HTTP struct{}\n\ntype Router struct{}\n' >ext/ext.go
{
	printf 'module traefikbuild\n\ngo 1.26.0\n\nrequire github.com/traefik/traefik/v3 %s\n\nreplace (\n' "$version"
	case $version in v3.6.*) ;; *) printf '\tgithub.com/traefik/traefik/dynamic/ext => ./ext\n' ;; esac
	printf '\tgithub.com/abbot/go-http-auth => github.com/containous/go-http-auth v0.4.1-0.20200324110947-a37a7636d23e\n'
	printf '\tgithub.com/gorilla/mux => github.com/containous/mux v0.0.0-20250523120546-41b6ec3aed59\n)\n\n'
	printf 'exclude github.com/tencentcloud/tencentcloud-sdk-go v3.0.83+incompatible\n'
} >go.mod
source=$(go mod download -json "github.com/traefik/traefik/v3@$version" | sed -n 's/.*"Dir": "\(.*\)",/\1/p')
cp "$source/go.sum" go.sum
chmod u+w go.sum

# Nothing but the version is given to the linker, so that the build cache serves the tests too.
CGO_ENABLED=0 go build -mod=mod -ldflags "-X github.com/traefik/traefik/v3/pkg/version.Version=${version#v}" \
	-o "$out" github.com/traefik/traefik/v3/cmd/traefik
