package gate

import "github.com/approovgate/approovgate/engine"

// everydayNames are headers that requests have every day.
var everydayNames = [...]string{
	"Accept", "Accept-Charset", "Accept-Encoding", "Accept-Language", "Authorization", "Baggage", "Cache-Control", "Connection",
	"Content-Encoding", "Content-Length", "Content-Type", "Cookie", "Dnt", "Expect", "Grpc-Accept-Encoding", "Grpc-Timeout",
	"If-Match", "If-Modified-Since", "If-None-Match", "If-Range", "If-Unmodified-Since", "Origin", "Pragma", "Priority", "Range", "Referer",
	"Sec-Ch-Ua", "Sec-Ch-Ua-Mobile", "Sec-Ch-Ua-Platform", "Sec-Fetch-Dest", "Sec-Fetch-Mode", "Sec-Fetch-Site", "Sec-Fetch-User",
	"Te", "Traceparent", "Tracestate", "Upgrade-Insecure-Requests", "User-Agent", "Via", "X-B3-Sampled", "X-B3-Spanid", "X-B3-Traceid",
	"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Port", "X-Forwarded-Prefix", "X-Forwarded-Proto", "X-Forwarded-Server",
	"X-Real-Ip", "X-Request-Id", "X-Requested-With",
}

// findEveryday notes which of everydayNames strip leaves alone on every route and in every mode. An interpreted gate
// takes a hundred times longer to compare a name than to look it up.
func (s *snapshot) findEveryday() {
	s.everyday = map[string]bool{}
	for _, name := range everydayNames {
		touched := engine.SameHeader(name, s.policy.Token.Header) || speaksForGate(name, &s.policy.Upstream) || overridesTarget(name)
		for _, bound := range s.bound {
			touched = touched || isAlias(name, bound)
		}
		if !touched {
			s.everyday[name] = true
		}
	}
}
