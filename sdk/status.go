package sdk

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
)

// Status is what came of a token fetch (manual, "Token Fetch Errors"). As an error it is what errors.Is looks for in a
// StatusError. The zero value is NotInitialized.
type Status int

// The statuses of the manual. This SDK never returns NoNetworkPermission and MissingLibDependency, for which a Go
// program has no cause; they are here for code that treats the statuses of all platforms alike.
const (
	NotInitialized       Status = iota // the Client is nil or closed
	Success                            // there is a token
	NoApproovService                   // the service is down with its failover, or does not know the account
	NoNetwork                          // there is no network
	PoorNetwork                        // the service cannot be reached, is overloaded, or the caller's context ended
	MITMDetected                       // someone is between the app and the service
	BadURL                             // not a domain or https URL
	UnknownURL                         // not an API domain of the account
	UnprotectedURL                     // an API domain that needs no token
	NoNetworkPermission                // Android: the app may not use the network
	MissingLibDependency               // Android: OkHttp is missing
	InternalError                      // the SDK and the service do not understand each other
)

// Class is what an app is advised to do about a status (manual, "Token Fetch Errors"). The zero value is Error.
type Class int

// The classes.
const (
	Error    Class = iota // report it; it should not occur in a production app
	Continue              // make the API request, with the token, be it empty
	Retry                 // do not make the API request; try again when the user asks for it
)

func (c Class) String() string {
	switch c {
	case Continue:
		return "Continue"
	case Retry:
		return "Retry"
	}
	return "Error"
}

// statuses are the names and classes: of Android, which String and loggable tokens use, and of iOS. NA: the platform
// has none.
var statuses = [...]struct {
	android, ios string
	class        Class
}{
	NotInitialized:       {"NA", "notInitialized", Error},
	Success:              {"SUCCESS", "success", Continue},
	NoApproovService:     {"NO_APPROOV_SERVICE", "noApproovService", Continue},
	NoNetwork:            {"NO_NETWORK", "noNetwork", Retry},
	PoorNetwork:          {"POOR_NETWORK", "poorNetwork", Retry},
	MITMDetected:         {"MITM_DETECTED", "mitmDetected", Retry},
	BadURL:               {"BAD_URL", "badURL", Error},
	UnknownURL:           {"UNKNOWN_URL", "unknownURL", Error},
	UnprotectedURL:       {"UNPROTECTED_URL", "unprotectedURL", Error},
	NoNetworkPermission:  {"NO_NETWORK_PERMISSION", "NA", Error},
	MissingLibDependency: {"MISSING_LIB_DEPENDENCY", "NA", Error},
	InternalError:        {"INTERNAL_ERROR", "NA", Error},
}

// loggable are the loggable tokens of fetches without a token (manual, "Loggable Tokens").
var loggable = func() (texts [len(statuses)]string) {
	for s := range statuses {
		texts[s] = `{"error":"` + Status(s).String() + `"}`
	}
	return texts
}()

func (s Status) known() bool { return 0 <= s && int(s) < len(statuses) }

// String is the status as Android names it; NOT_INITIALIZED, which Android has not, is spelled like the others.
func (s Status) String() string {
	switch {
	case !s.known():
		return fmt.Sprintf("STATUS_%d", int(s))
	case s == NotInitialized:
		return "NOT_INITIALIZED"
	}
	return statuses[s].android
}

// Error is String: a Status is what errors.Is looks for.
func (s Status) Error() string { return s.String() }

// Android is the status as the Android SDK names it, NA if it has no such status.
func (s Status) Android() string {
	if !s.known() {
		return "NA"
	}
	return statuses[s].android
}

// IOS is the status as the iOS SDK names it, NA if it has no such status.
func (s Status) IOS() string {
	if !s.known() {
		return "NA"
	}
	return statuses[s].ios
}

// Class is what the app is advised to do.
func (s Status) Class() Class {
	if !s.known() {
		return Error
	}
	return statuses[s].class
}

// Result is what a token fetch returns. Printing one does not show the token.
type Result struct {
	Status Status
	// Token is for the request to the API; empty unless Status is Success.
	Token string
	// LoggableToken may be logged: the token's claims and the first characters of its signature, or the status.
	LoggableToken string
	// Request names the attestation that has brought the token: whoever manages the account asks with it why the service
	// took the app for another (approov explain). It may be shown and logged. Empty unless Status is Success.
	Request string
	// ConfigChanged asks the app to call FetchConfig and to store what it returns. It stays set until then.
	ConfigChanged bool
	// Err is the cause of a Status other than Success, for a log. Programs go by Status.
	Err error
}

func (r Result) String() string {
	if r.Err != nil {
		return r.Status.String() + ": " + r.Err.Error()
	}
	return r.Status.String()
}

// GoString shows what String shows, and so do Format, LogValue and MarshalJSON.
func (r Result) GoString() string             { return r.String() }
func (r Result) Format(f fmt.State, _ rune)   { _, _ = io.WriteString(f, r.String()) }
func (r Result) LogValue() slog.Value         { return slog.StringValue(r.String()) }
func (r Result) MarshalJSON() ([]byte, error) { return json.Marshal(r.String()) }

// failed is the Result of a fetch without a token.
func (c *Client) failed(status Status, err error) Result {
	return Result{Status: status, LoggableToken: loggable[status], ConfigChanged: c.changed.Load(), Err: err}
}

// StatusError is why Transport did not make a request. errors.Is finds its Status, such as PoorNetwork, and its cause.
type StatusError struct {
	Status Status
	Domain string
	Cause  error // nil: the status says all
}

func (e *StatusError) Error() string {
	text := fmt.Sprintf("approov: no token for %.255q: %s", e.Domain, e.Status)
	if e.Cause != nil {
		text += ": " + e.Cause.Error()
	}
	return text
}

// Unwrap is for errors.Is and errors.As.
func (e *StatusError) Unwrap() []error {
	if e.Cause == nil {
		return []error{e.Status}
	}
	return []error{e.Status, e.Cause}
}

// Timeout and Temporary are what net.Error asks: a Retry may be tried again.
func (e *StatusError) Timeout() bool   { return errors.Is(e.Cause, errTimeout) }
func (e *StatusError) Temporary() bool { return e.Status.Class() == Retry }
