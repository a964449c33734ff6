package engine

// Reason says why a decision came out as it did. The list is closed and public: logs, metrics and
// alerts depend on these words.
type Reason string

// The reasons, in the order of the checks.
const (
	TargetRefused      Reason = "target_refused"
	Exempt             Reason = "exempt"
	Bypassed           Reason = "bypassed"
	PreflightExempt    Reason = "preflight"
	TokenMissing       Reason = "token_missing"
	TokenRepeated      Reason = "token_repeated"
	TokenEmpty         Reason = "token_empty"
	TokenTooLarge      Reason = "token_too_large"
	TokenStatus        Reason = "token_status"
	TokenMalformed     Reason = "token_malformed"
	AlgorithmRefused   Reason = "algorithm_refused"
	KeyUnknown         Reason = "key_unknown"
	SignatureInvalid   Reason = "signature_invalid"
	DecryptionFailed   Reason = "decryption_failed"
	ClaimInvalid       Reason = "claim_invalid"
	ExpMissing         Reason = "exp_missing"
	TokenExpired       Reason = "token_expired"
	TokenNotYetValid   Reason = "token_not_yet_valid"
	PayMissing         Reason = "pay_missing"
	BindingMissing     Reason = "binding_missing"
	BindingRepeated    Reason = "binding_repeated"
	BindingMismatch    Reason = "binding_mismatch"
	SignatureMissing   Reason = "signature_missing"
	SignatureUncovered Reason = "signature_uncovered"
	SignatureExpired   Reason = "signature_expired"
	SignatureWrong     Reason = "signature_wrong"
	ClaimDenied        Reason = "claim_denied"
	OK                 Reason = "ok"
)

// reasons is the one table of what each reason means: the verdict, the status a rejected client gets
// (0: the policy's respond.status) and the text for people.
var reasons = [...]struct {
	reason  Reason
	verdict Verdict
	status  int
	text    string
}{
	{TargetRefused, Fail, 400, "the request's target, host or method can be read in more than one way"},
	{Exempt, None, 0, "the route is exempt from checks"},
	{Bypassed, None, 0, "checks are switched off"},
	{PreflightExempt, None, 0, "a CORS preflight carries no token"},
	{TokenMissing, Fail, 0, "the request carries no token"},
	{TokenRepeated, Fail, 0, "the request carries more than one token header"},
	{TokenEmpty, Fail, 0, "the token header is empty"},
	{TokenTooLarge, Fail, 0, "the token is longer than allowed"},
	{TokenStatus, Fail, 0, "the app sent a status in place of a token: it could not fetch one"},
	{TokenMalformed, Fail, 0, "the token header holds no well-formed token"},
	{AlgorithmRefused, Fail, 0, "the token's algorithm, format or type is not accepted here"},
	{KeyUnknown, Fail, 0, "no key for this token is in use"},
	{SignatureInvalid, Fail, 0, "the token's signature is wrong: a failed attestation, or another account's token"},
	{DecryptionFailed, Fail, 0, "the token cannot be decrypted: a failed attestation, or another account's token"},
	{ClaimInvalid, Fail, 0, "the token's claims are not well-formed"},
	{ExpMissing, Fail, 0, "the token has no expiry"},
	{TokenExpired, Fail, 0, "the token has expired"},
	{TokenNotYetValid, Fail, 0, "the token is not valid yet"},
	{PayMissing, Fail, 0, "the token is not bound, and this route requires it"},
	{BindingMissing, Fail, 0, "the data that the token is bound to is not in the request"},
	{BindingRepeated, Fail, 0, "the data that the token is bound to is in the request more than once"},
	{BindingMismatch, Fail, 0, "the token is bound to other data"},
	{SignatureMissing, Fail, 0, "the request carries no message signature"},
	{SignatureUncovered, Fail, 0, "the message signature does not cover what this route requires"},
	{SignatureExpired, Fail, 0, "the message signature has expired"},
	{SignatureWrong, Fail, 0, "the message signature is wrong"},
	{ClaimDenied, Fail, 0, "the policy denies this token's issuer, audience or annotations"},
	{OK, Pass, 0, "the token is genuine"},
}

// Reasons are all reasons in the order of the checks.
func Reasons() []Reason {
	all := make([]Reason, 0, len(reasons))
	for i := range reasons {
		all = append(all, reasons[i].reason)
	}
	return all
}

// Verdict is the verdict that goes with r: Fail for a reason not in the table.
func (r Reason) Verdict() Verdict {
	switch r {
	case OK:
		return Pass
	case Exempt, Bypassed, PreflightExempt:
		return None
	}
	return Fail
}

// Status is the HTTP status of a rejection for r, given the policy's own for token failures.
func (r Reason) Status(policy int) int {
	for i := range reasons {
		if row := &reasons[i]; row.reason == r && row.status != 0 {
			return row.status
		}
	}
	return policy
}

// Text says what r means, for people. It is the same for every request.
func (r Reason) Text() string {
	for i := range reasons {
		if reasons[i].reason == r {
			return reasons[i].text
		}
	}
	return ""
}
