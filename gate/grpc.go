package gate

import (
	"net/http"
	"strings"
)

// AnswerGRPC answers a gRPC call (also gRPC-Web) that is not forwarded the way its client understands: HTTP
// status 200, no body, and the status in the header, which gRPC calls trailers-only. The status is the one
// that gRPC gives to an HTTP status. It reports false, and does nothing, when r is no such call.
func AnswerGRPC(w http.ResponseWriter, r *http.Request, status int, message string) bool {
	return AnswerGRPCCode(w, r, grpcStatus(status), message)
}

// AnswerGRPCCode is AnswerGRPC with a status code of gRPC's own.
func AnswerGRPCCode(w http.ResponseWriter, r *http.Request, code, message string) bool {
	contentType := grpcType(r)
	if contentType == "" {
		return false
	}
	header := w.Header()
	header["Content-Type"] = []string{contentType}
	header["Cache-Control"] = []string{"no-store"}
	header["Grpc-Status"] = []string{code}
	header["Grpc-Message"] = []string{message}
	w.WriteHeader(http.StatusOK)
	return true
}

// grpcType is the content type to answer a gRPC call with; empty when r is none.
func grpcType(r *http.Request) string {
	const grpc = "application/grpc"
	lines := r.Header["Content-Type"]
	if r.Method != http.MethodPost || len(lines) != 1 || !strings.HasPrefix(lines[0], grpc) {
		return ""
	}
	rest := lines[0][len(grpc):]
	kind, _, _ := strings.Cut(rest, ";")
	kind, _, _ = strings.Cut(kind, "+")
	switch strings.TrimRight(kind, " \t") {
	case "":
		return grpc
	case "-web":
		return grpc + "-web+proto"
	case "-web-text":
		return grpc + "-web-text+proto"
	}
	return ""
}

// grpcStatus is the code that gRPC clients give to an HTTP status (gRPC's http-grpc-status-mapping).
func grpcStatus(status int) string {
	switch status {
	case http.StatusBadRequest:
		return "13" // INTERNAL
	case http.StatusUnauthorized:
		return "16" // UNAUTHENTICATED
	case http.StatusForbidden:
		return "7" // PERMISSION_DENIED
	case http.StatusNotFound:
		return "12" // UNIMPLEMENTED
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return "14" // UNAVAILABLE
	}
	return "2" // UNKNOWN
}
