package conformance

import (
	"encoding/json"
	"time"
)

// Plain is a case as data without behaviour, for runners that cannot hold a Case: interpreted code, or another
// language. Its JSON form has these names; request is base64.
type Plain struct {
	File    string          `json:"file"`
	Name    string          `json:"name"`
	Now     string          `json:"now"` // RFC 3339
	Scheme  string          `json:"scheme,omitempty"`
	Peer    string          `json:"peer,omitempty"`
	Policy  json.RawMessage `json:"policy"` // grown to the case's table size
	Request []byte          `json:"request"`
	Want    PlainWant       `json:"want"`
}

// PlainWant is Want as plain data.
type PlainWant struct {
	RefusedBy string         `json:"refused_by,omitempty"`
	Problem   string         `json:"problem,omitempty"`
	Verdict   string         `json:"verdict,omitempty"`
	Action    string         `json:"action,omitempty"`
	Reason    string         `json:"reason,omitempty"`
	Status    int            `json:"status,omitempty"`
	Body      string         `json:"body,omitempty"`
	Mode      string         `json:"mode,omitempty"`
	Route     string         `json:"route,omitempty"`
	Key       string         `json:"key,omitempty"`
	Unbound   bool           `json:"unbound,omitempty"`
	Target    string         `json:"forwarded_target,omitempty"`
	Host      string         `json:"forwarded_host,omitempty"`
	Headers   []HeaderExpect `json:"forwarded_headers,omitempty"`

	HopHeaders []HeaderExpect `json:"hop_headers,omitempty"`
}

// Plain is c as plain data. It fails only where the policy cannot be grown.
func (c Case) Plain() (Plain, error) {
	policy, err := c.PaddedPolicy()
	if err != nil {
		return Plain{}, err
	}
	return Plain{
		File: c.File, Name: c.Name, Now: c.Now.Format(time.RFC3339Nano), Scheme: c.Scheme, Peer: c.Peer,
		Policy: json.RawMessage(policy), Request: []byte(c.Request), Want: PlainWant(c.Want),
	}, nil
}

// JSON is the JSON form of c.Plain.
func (c Case) JSON() ([]byte, error) {
	plain, err := c.Plain()
	if err != nil {
		return nil, err
	}
	return json.Marshal(plain)
}
