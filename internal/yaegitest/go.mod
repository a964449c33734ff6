module github.com/approovgate/approovgate/internal/yaegitest

go 1.26.0

require (
	github.com/approovgate/approovgate v0.0.0
	github.com/traefik/yaegi v0.16.1
)

require github.com/golang-jwt/jwt/v5 v5.3.1 // indirect

replace github.com/approovgate/approovgate => ../..
