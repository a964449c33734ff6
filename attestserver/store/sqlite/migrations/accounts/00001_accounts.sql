-- +goose Up
-- Times are microseconds since 1970 in UTC, NULL where there is none; lists and maps are JSON.

CREATE TABLE generation (
	one   INTEGER PRIMARY KEY CHECK (one = 1),
	value INTEGER NOT NULL
) STRICT;
INSERT INTO generation (one, value) VALUES (1, 0);

-- A text that tells whether the sealing key is the one that this database was made with.
CREATE TABLE seal (
	one  INTEGER PRIMARY KEY CHECK (one = 1),
	text BLOB NOT NULL
) STRICT;

CREATE TABLE account (
	name              TEXT PRIMARY KEY,
	version           INTEGER NOT NULL,
	created           INTEGER,
	config_version    INTEGER NOT NULL,
	policy_rules      TEXT NOT NULL,
	policy_rejection  TEXT NOT NULL,
	policy_annotation TEXT NOT NULL,
	ip_tracking       TEXT NOT NULL,
	grace_nanoseconds INTEGER NOT NULL,
	demo_domain       TEXT NOT NULL,
	network_primary   TEXT NOT NULL CHECK (json_valid(network_primary)),
	network_failover  TEXT NOT NULL CHECK (json_valid(network_failover)),
	network_pins      TEXT NOT NULL CHECK (json_valid(network_pins))
) STRICT, WITHOUT ROWID;

-- The material is sealed.
CREATE TABLE account_key (
	account   TEXT NOT NULL REFERENCES account (name),
	place     INTEGER NOT NULL,
	purpose   TEXT NOT NULL,
	id        TEXT NOT NULL,
	alg       TEXT NOT NULL,
	created   INTEGER,
	not_after INTEGER,
	material  BLOB NOT NULL,
	PRIMARY KEY (account, place, purpose, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE library (
	account  TEXT NOT NULL REFERENCES account (name),
	id       TEXT NOT NULL,
	platform TEXT NOT NULL,
	version  TEXT NOT NULL,
	created  INTEGER,
	material BLOB NOT NULL,
	PRIMARY KEY (account, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE domain (
	account TEXT NOT NULL REFERENCES account (name),
	name    TEXT NOT NULL,
	format  TEXT NOT NULL,
	key_id  TEXT NOT NULL,
	pins    TEXT NOT NULL CHECK (json_valid(pins)),
	PRIMARY KEY (account, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE registration (
	account      TEXT NOT NULL REFERENCES account (name),
	digest       BLOB NOT NULL CHECK (length(digest) = 32),
	package      TEXT NOT NULL,
	version      TEXT NOT NULL,
	library      TEXT NOT NULL,
	registered   INTEGER,
	expires      INTEGER,
	made_by      TEXT NOT NULL,
	made_by_role TEXT NOT NULL,
	PRIMARY KEY (account, digest, package, version, library)
) STRICT, WITHOUT ROWID;

CREATE TABLE device (
	account           TEXT NOT NULL REFERENCES account (name),
	id                TEXT NOT NULL,
	policy_rules      TEXT NOT NULL,
	policy_rejection  TEXT NOT NULL,
	policy_annotation TEXT NOT NULL,
	pin_mode          TEXT NOT NULL,
	made_by           TEXT NOT NULL,
	PRIMARY KEY (account, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE management_token (
	account TEXT NOT NULL REFERENCES account (name),
	id      TEXT NOT NULL,
	hash    BLOB NOT NULL CHECK (length(hash) = 32),
	email   TEXT NOT NULL,
	name    TEXT NOT NULL,
	role    TEXT NOT NULL,
	issued  INTEGER,
	expires INTEGER,
	initial INTEGER NOT NULL CHECK (initial IN (0, 1)),
	PRIMARY KEY (account, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE control (
	account TEXT NOT NULL REFERENCES account (name),
	gate    TEXT NOT NULL,
	version INTEGER NOT NULL,
	mode    TEXT NOT NULL,
	routes  TEXT NOT NULL CHECK (json_valid(routes)),
	until   INTEGER,
	reason  TEXT NOT NULL,
	made_by TEXT NOT NULL,
	PRIMARY KEY (account, gate)
) STRICT, WITHOUT ROWID;

CREATE TABLE audit (
	account  TEXT NOT NULL REFERENCES account (name),
	sequence INTEGER NOT NULL,
	at       INTEGER,
	made_by  TEXT NOT NULL,
	role     TEXT NOT NULL,
	action   TEXT NOT NULL,
	subject  TEXT NOT NULL,
	detail   TEXT NOT NULL,
	request  TEXT NOT NULL,
	PRIMARY KEY (account, sequence)
) STRICT, WITHOUT ROWID;
