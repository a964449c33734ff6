package tables

import "github.com/approovgate/approovgate/attestserver/account"

// lists are the tables of an account's lists, in the order they are written.
var lists = []table{&keys, &libraries, &domains, &registrations, &devices, &tokens, &controls}

// keys have a place, because the order of keys of one purpose means something, and they may have equal IDs.
var keys = list[account.Key]{
	name: "account_key", key: 3,
	put: `
INSERT INTO account_key (account, place, purpose, id, alg, created, not_after, material)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (account, place, purpose, id) DO UPDATE SET alg = excluded.alg, created = excluded.created,
	not_after = excluded.not_after, material = excluded.material`,
	remove: `DELETE FROM account_key WHERE account = $1 AND place = $2 AND purpose = $3 AND id = $4`,
	read:   `SELECT account, place, purpose, id, alg, created, not_after, material FROM account_key`,
	sort:   ` ORDER BY account, place`,
	of:     func(a *account.Account) *[]account.Key { return &a.Keys },
	row: func(at int, k *account.Key) row {
		return row{int64(at), string(k.Purpose), k.ID, k.Alg, k.Created, k.NotAfter, k.Material}
	},
	into: func(k *account.Key) []any {
		return []any{new(int64), &k.Purpose, &k.ID, &k.Alg, moment{&k.Created}, moment{&k.NotAfter}}
	},
	secret: func(k *account.Key) *account.Secret { return &k.Material },
}

var libraries = list[account.Library]{
	name: "library", key: 1,
	put: `
INSERT INTO library (account, id, platform, version, created, material)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (account, id) DO UPDATE SET platform = excluded.platform, version = excluded.version,
	created = excluded.created, material = excluded.material`,
	remove: `DELETE FROM library WHERE account = $1 AND id = $2`,
	read:   `SELECT account, id, platform, version, created, material FROM library`,
	of:     func(a *account.Account) *[]account.Library { return &a.Libraries },
	row: func(_ int, l *account.Library) row {
		return row{l.ID, l.Platform, l.Version, l.Created, l.Key}
	},
	into: func(l *account.Library) []any {
		return []any{&l.ID, &l.Platform, &l.Version, moment{&l.Created}}
	},
	secret: func(l *account.Library) *account.Secret { return &l.Key },
}

var domains = list[account.Domain]{
	name: "domain", key: 1,
	put: `
INSERT INTO domain (account, name, format, key_id, pins)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (account, name) DO UPDATE SET format = excluded.format, key_id = excluded.key_id, pins = excluded.pins`,
	remove: `DELETE FROM domain WHERE account = $1 AND name = $2`,
	read:   `SELECT account, name, format, key_id, pins FROM domain`,
	of:     func(a *account.Account) *[]account.Domain { return &a.Domains },
	row: func(_ int, d *account.Domain) row {
		return row{d.Name, string(d.Format), d.KeyID, d.Pins}
	},
	into: func(d *account.Domain) []any {
		return []any{&d.Name, &d.Format, &d.KeyID, object{&d.Pins}}
	},
}

var registrations = list[account.Registration]{
	name: "registration", key: 4,
	put: `
INSERT INTO registration (account, digest, package, version, library, registered, expires, made_by, made_by_role)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
ON CONFLICT (account, digest, package, version, library) DO UPDATE SET registered = excluded.registered,
	expires = excluded.expires, made_by = excluded.made_by, made_by_role = excluded.made_by_role`,
	remove: `DELETE FROM registration WHERE account = $1 AND digest = $2 AND package = $3 AND version = $4 AND library = $5`,
	read:   `SELECT account, digest, package, version, library, registered, expires, made_by, made_by_role FROM registration`,
	of:     func(a *account.Account) *[]account.Registration { return &a.Registrations },
	row: func(_ int, r *account.Registration) row {
		return row{r.Digest[:], r.Package, r.Version, r.Library, r.Registered, r.Expires, r.By, string(r.ByRole)}
	},
	into: func(r *account.Registration) []any {
		return []any{digest{&r.Digest}, &r.Package, &r.Version, &r.Library, moment{&r.Registered}, moment{&r.Expires}, &r.By, &r.ByRole}
	},
}

var devices = list[account.Device]{
	name: "device", key: 1,
	put: `
INSERT INTO device (account, id, policy_rules, policy_rejection, policy_annotation, pin_mode, made_by)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (account, id) DO UPDATE SET policy_rules = excluded.policy_rules, policy_rejection = excluded.policy_rejection,
	policy_annotation = excluded.policy_annotation, pin_mode = excluded.pin_mode, made_by = excluded.made_by`,
	remove: `DELETE FROM device WHERE account = $1 AND id = $2`,
	read:   `SELECT account, id, policy_rules, policy_rejection, policy_annotation, pin_mode, made_by FROM device`,
	of:     func(a *account.Account) *[]account.Device { return &a.Devices },
	row: func(_ int, d *account.Device) row {
		p := d.Policy
		return row{d.ID, p.Rules, string(p.Rejection), string(p.Annotation), string(d.PinMode), d.By}
	},
	into: func(d *account.Device) []any {
		p := &d.Policy
		return []any{&d.ID, &p.Rules, &p.Rejection, &p.Annotation, &d.PinMode, &d.By}
	},
}

var tokens = list[account.ManagementToken]{
	name: "management_token", key: 1,
	put: `
INSERT INTO management_token (account, id, hash, email, name, role, issued, expires, initial)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
ON CONFLICT (account, id) DO UPDATE SET hash = excluded.hash, email = excluded.email, name = excluded.name,
	role = excluded.role, issued = excluded.issued, expires = excluded.expires, initial = excluded.initial`,
	remove: `DELETE FROM management_token WHERE account = $1 AND id = $2`,
	read:   `SELECT account, id, hash, email, name, role, issued, expires, initial FROM management_token`,
	of:     func(a *account.Account) *[]account.ManagementToken { return &a.Tokens },
	row: func(_ int, t *account.ManagementToken) row {
		return row{t.ID, t.Hash[:], t.Email, t.Name, string(t.Role), t.Issued, t.Expires, t.Initial}
	},
	into: func(t *account.ManagementToken) []any {
		return []any{&t.ID, digest{&t.Hash}, &t.Email, &t.Name, &t.Role, moment{&t.Issued}, moment{&t.Expires}, &t.Initial}
	},
}

var controls = list[account.Control]{
	name: "control", key: 1,
	put: `
INSERT INTO control (account, gate, version, mode, routes, until, reason, made_by)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (account, gate) DO UPDATE SET version = excluded.version, mode = excluded.mode, routes = excluded.routes,
	until = excluded.until, reason = excluded.reason, made_by = excluded.made_by`,
	remove: `DELETE FROM control WHERE account = $1 AND gate = $2`,
	read:   `SELECT account, gate, version, mode, routes, until, reason, made_by FROM control`,
	of:     func(a *account.Account) *[]account.Control { return &a.Controls },
	row: func(_ int, c *account.Control) row {
		return row{c.Gate, c.Version, c.Mode, c.Routes, c.Until, c.Reason, c.By}
	},
	into: func(c *account.Control) []any {
		return []any{&c.Gate, &c.Version, &c.Mode, object{&c.Routes}, moment{&c.Until}, &c.Reason, &c.By}
	},
}
