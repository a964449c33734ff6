package account

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/approovgate/approovgate/attestapi"
)

// Operation is something that a role may or may not do. Those that change something are the actions of the audit log.
type Operation string

// The operations.
const (
	OpAccountRead        Operation = "account.read"
	OpDomainList         Operation = "domain.list"
	OpDomainAdd          Operation = "domain.add"
	OpDomainChange       Operation = "domain.change"
	OpDomainRemove       Operation = "domain.remove"
	OpDomainSet          Operation = "domain.set" // all of them at once; the audit log has what it does to each
	OpPinsRead           Operation = "pins.read"  // what is served on a domain, and what the monitor saw
	OpRegistrationList   Operation = "registration.list"
	OpRegistrationAdd    Operation = "registration.add"
	OpRegistrationRemove Operation = "registration.remove"
	OpPermanentRemove    Operation = "registration.remove-permanent" // one's own may go without it: see RemoveRegistration
	OpMatchingRemove     Operation = "registration.remove-matching"
	OpPolicyRead         Operation = "policy.read"
	OpPolicySet          Operation = "policy.set"
	OpIPTrackingRead     Operation = "ip-tracking.read"
	OpIPTrackingSet      Operation = "ip-tracking.set"
	OpDeviceList         Operation = "device.list"
	OpDeviceSet          Operation = "device.set"
	OpDeviceRemove       Operation = "device.remove"
	OpExampleToken       Operation = "token.example"
	OpLongLivedToken     Operation = "token.long-lived"
	OpCheckToken         Operation = "token.check"
	OpSecretRead         Operation = "secret.read"
	OpSecretUpdate       Operation = "secret.update"
	OpSecretImport       Operation = "secret.import"
	OpMessageKeyRead     Operation = "message-key.read"
	OpMessageKeyChange   Operation = "message-key.change"
	OpMessageKeyRemove   Operation = "message-key.remove"
	OpKeysetRead         Operation = "keyset.read"
	OpKeysetAdd          Operation = "keyset.add"
	OpKeysetRemove       Operation = "keyset.remove"
	OpConfigRead         Operation = "config.read"
	OpLibraryList        Operation = "library.list"
	OpLibraryRead        Operation = "library.read"
	OpLibraryAdd         Operation = "library.add"
	OpLibraryRemove      Operation = "library.remove"
	OpTokenList          Operation = "management-token.list"
	OpTokenAdd           Operation = "management-token.add"
	OpTokenRevoke        Operation = "management-token.revoke"
	OpGatewayRead        Operation = "gateway.read"
	OpGatewaySet         Operation = "gateway.set"
	OpGatewayKeys        Operation = "gateway.keys"
	OpGateControl        Operation = "gate.control" // the signed documents at /gate/v1
	OpGateKeys           Operation = "gate.keys"
	OpAuditRead          Operation = "audit.read"
	OpExplain            Operation = "attestation.explain"
)

// roles is a set of roles.
type roles map[Role]bool

var (
	anyone     = roles{Dev: true, Admin: true}
	adminOnly  = roles{Admin: true}
	withGates  = roles{Dev: true, Admin: true, Gateway: true}
	gatesAdmin = roles{Admin: true, Gateway: true}
)

// rights is who may do what (manual, "Types of Management Token" and the sections of the commands). Of what is ours:
// gates read what they need; what breaks or reveals something is the administrator's.
var rights = map[Operation]roles{
	OpAccountRead:        anyone,
	OpDomainList:         anyone,
	OpDomainAdd:          anyone, // "new API domains can be added with a development token"
	OpDomainChange:       adminOnly,
	OpDomainRemove:       adminOnly,
	OpDomainSet:          adminOnly, // "an administration level management token is required"
	OpPinsRead:           anyone,    // who may add a domain may know its pins
	OpRegistrationList:   anyone,
	OpRegistrationAdd:    anyone,
	OpRegistrationRemove: anyone,
	OpPermanentRemove:    adminOnly,
	OpMatchingRemove:     adminOnly,
	OpPolicyRead:         anyone,
	OpPolicySet:          adminOnly,
	OpIPTrackingRead:     anyone,
	OpIPTrackingSet:      adminOnly,
	OpDeviceList:         anyone,
	OpDeviceSet:          anyone,
	OpDeviceRemove:       anyone, // "not restricted to the user that added the device"
	OpExampleToken:       anyone,
	OpLongLivedToken:     adminOnly,
	OpCheckToken:         anyone,
	OpSecretRead:         adminOnly,
	OpSecretUpdate:       adminOnly,
	OpSecretImport:       adminOnly,
	OpMessageKeyRead:     adminOnly,
	OpMessageKeyChange:   adminOnly,
	OpMessageKeyRemove:   adminOnly,
	OpKeysetRead:         anyone, // public keys only
	OpKeysetAdd:          adminOnly,
	OpKeysetRemove:       adminOnly,
	OpConfigRead:         anyone,
	OpLibraryList:        anyone,
	OpLibraryRead:        anyone,
	OpLibraryAdd:         anyone,
	OpLibraryRemove:      adminOnly,
	OpTokenList:          adminOnly,
	OpTokenAdd:           adminOnly,
	OpTokenRevoke:        adminOnly,
	OpGatewayRead:        withGates,
	OpGatewaySet:         adminOnly,
	OpGatewayKeys:        withGates,
	OpGateControl:        gatesAdmin,
	OpGateKeys:           gatesAdmin, // it holds the account secret
	OpAuditRead:          adminOnly,
	OpExplain:            anyone, // who tests an app asks why it fails
}

// May reports whether the role may do an operation.
func (r Role) May(op Operation) bool { return rights[op][r] }

// Check refuses what the actor may not do.
func (by Actor) Check(op Operation) error {
	if by.Role.May(op) {
		return nil
	}
	var able []string
	for _, role := range []Role{Dev, Admin, Gateway} {
		if role.May(op) {
			able = append(able, string(role))
		}
	}
	return refuse(attestapi.CodeForbidden, "%s needs a management token for %s, and yours is for %s", op, strings.Join(able, " or "), by.Role)
}

// change does all of f or nothing: f works on a copy, from which what has expired is gone. The outcome that f returns
// says what the audit log gets. Is it unchanged, then nothing is written down, and the account stays as it was.
func (a *Account) change(by Actor, at time.Time, op Operation, f func(c *Account) (done outcome, err error)) error {
	if err := by.Check(op); err != nil {
		return err
	}
	c := a.Clone()
	c.expire(at)
	done, err := f(c)
	if err != nil || done.nothing {
		return err
	}
	if done.op == "" {
		done.op = op
	}
	for _, subject := range done.subjects {
		c.note(by, at, string(done.op), subject, done.detail)
	}
	*a = *c
	return nil
}

// outcome is what the audit log is to say of a change: one entry for each subject.
type outcome struct {
	nothing  bool
	op       Operation // empty: the one asked for
	subjects []string
	detail   string // never a secret
}

var unchanged = outcome{nothing: true}

func did(subject, detail string) outcome {
	return outcome{subjects: []string{subject}, detail: detail}
}

// note appends a line of the audit log.
func (a *Account) note(by Actor, at time.Time, action, subject, detail string) {
	a.Entries = append(a.Entries, Entry{
		At: at.UTC().Truncate(time.Millisecond), By: by.Name, Role: by.Role,
		Action: action, Subject: subject, Detail: detail, Request: by.Request,
	})
}

// Operations are all operations, by name.
func Operations() []Operation {
	return slices.Sorted(maps.Keys(rights))
}
