-- +goose Up
-- Times are NULL where there is none; lists and maps are JSON.

CREATE TABLE generation (
	one   SMALLINT PRIMARY KEY CHECK (one = 1),
	value BIGINT NOT NULL
);
INSERT INTO generation (one, value) VALUES (1, 0);

-- A text that tells whether the sealing key is the one that this database was made with.
CREATE TABLE seal (
	one  SMALLINT PRIMARY KEY CHECK (one = 1),
	text BYTEA NOT NULL
);

CREATE TABLE account (
	name              TEXT PRIMARY KEY,
	version           BIGINT NOT NULL,
	created           TIMESTAMPTZ,
	config_version    BIGINT NOT NULL,
	policy_rules      TEXT NOT NULL,
	policy_rejection  TEXT NOT NULL,
	policy_annotation TEXT NOT NULL,
	ip_tracking       TEXT NOT NULL,
	grace_nanoseconds BIGINT NOT NULL,
	demo_domain       TEXT NOT NULL,
	network_primary   JSONB NOT NULL,
	network_failover  JSONB NOT NULL,
	network_pins      JSONB NOT NULL
);

-- The material is sealed.
CREATE TABLE account_key (
	account   TEXT NOT NULL REFERENCES account (name),
	place     BIGINT NOT NULL,
	purpose   TEXT NOT NULL,
	id        TEXT NOT NULL,
	alg       TEXT NOT NULL,
	created   TIMESTAMPTZ,
	not_after TIMESTAMPTZ,
	material  BYTEA NOT NULL,
	PRIMARY KEY (account, place, purpose, id)
);

CREATE TABLE library (
	account  TEXT NOT NULL REFERENCES account (name),
	id       TEXT NOT NULL,
	platform TEXT NOT NULL,
	version  TEXT NOT NULL,
	created  TIMESTAMPTZ,
	material BYTEA NOT NULL,
	PRIMARY KEY (account, id)
);

CREATE TABLE domain (
	account TEXT NOT NULL REFERENCES account (name),
	name    TEXT NOT NULL,
	format  TEXT NOT NULL,
	key_id  TEXT NOT NULL,
	pins    JSONB NOT NULL,
	PRIMARY KEY (account, name)
);

CREATE TABLE registration (
	account      TEXT NOT NULL REFERENCES account (name),
	digest       BYTEA NOT NULL CHECK (length(digest) = 32),
	package      TEXT NOT NULL,
	version      TEXT NOT NULL,
	library      TEXT NOT NULL,
	registered   TIMESTAMPTZ,
	expires      TIMESTAMPTZ,
	made_by      TEXT NOT NULL,
	made_by_role TEXT NOT NULL,
	PRIMARY KEY (account, digest, package, version, library)
);

CREATE TABLE device (
	account           TEXT NOT NULL REFERENCES account (name),
	id                TEXT NOT NULL,
	policy_rules      TEXT NOT NULL,
	policy_rejection  TEXT NOT NULL,
	policy_annotation TEXT NOT NULL,
	pin_mode          TEXT NOT NULL,
	made_by           TEXT NOT NULL,
	PRIMARY KEY (account, id)
);

CREATE TABLE management_token (
	account TEXT NOT NULL REFERENCES account (name),
	id      TEXT NOT NULL,
	hash    BYTEA NOT NULL CHECK (length(hash) = 32),
	email   TEXT NOT NULL,
	name    TEXT NOT NULL,
	role    TEXT NOT NULL,
	issued  TIMESTAMPTZ,
	expires TIMESTAMPTZ,
	initial BOOLEAN NOT NULL,
	PRIMARY KEY (account, id)
);

CREATE TABLE control (
	account TEXT NOT NULL REFERENCES account (name),
	gate    TEXT NOT NULL,
	version BIGINT NOT NULL,
	mode    TEXT NOT NULL,
	routes  JSONB NOT NULL,
	until   TIMESTAMPTZ,
	reason  TEXT NOT NULL,
	made_by TEXT NOT NULL,
	PRIMARY KEY (account, gate)
);

CREATE TABLE audit (
	account  TEXT NOT NULL REFERENCES account (name),
	sequence BIGINT NOT NULL,
	at       TIMESTAMPTZ,
	made_by  TEXT NOT NULL,
	role     TEXT NOT NULL,
	action   TEXT NOT NULL,
	subject  TEXT NOT NULL,
	detail   TEXT NOT NULL,
	request  TEXT NOT NULL,
	PRIMARY KEY (account, sequence)
);

-- An ordinary table, not an UNLOGGED one: PostgreSQL empties those after a crash, and every nonce of the minutes before
-- could then be used once more.
CREATE TABLE used_nonce (
	id    BYTEA PRIMARY KEY CHECK (length(id) = 16),
	until TIMESTAMPTZ NOT NULL
);
CREATE INDEX used_nonce_until ON used_nonce (until);
