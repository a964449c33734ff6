-- TEST KEYS: what is secret here was made by a test and sealed under storetest.Sealer, a test key.
BEGIN TRANSACTION;
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
INSERT INTO "account" VALUES('acme',3,1795262400123456,1,'default','default','all','token',0,'demo.example','["https://a.example"]','null','["pin1","pin2"]');
INSERT INTO "account" VALUES('other',1,1795262400123456,1,'default','allow-root','all','token',0,'demo.example','["https://a.example"]','null','["pin1","pin2"]');
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
INSERT INTO "account_key" VALUES('acme',0,'token','','HS256',1795262400123456,1795266000123456,X'01F1F84E2DDB28EE14DE0936371B45C60628B94FF1F28F850E47C09361D610A76C6EC3FFC8CDF5C4E65254412CDA14290997D133576B24E6D375C9EF552ACF5A4B5D58936771A43065B7C1F9961C21');
INSERT INTO "account_key" VALUES('acme',1,'token','','HS256',1795262400123456,NULL,X'01F1F84E2DDB28EE14250E650558C43314D0D7A3EEF7C43888E3456B8B9D7B3896C936F0FAE27FFFFE37879B79D45B783B33D7E7405B2A8CBC12F2AA5BB3A244CA822E');
INSERT INTO "account_key" VALUES('other',0,'token','','HS256',1795262400123456,1795266000123456,X'01F1F84E2DDB28EE1498071BDA505B503F304A8B4CFEE00472934AB5E4209AF0C9F1FF730EEF9330CAD40D3FBF35FCE8EEB3720D607B5E71129DEDBA22DA849F6C43B19911C71A382D37353C0D30EF');
INSERT INTO "account_key" VALUES('other',1,'token','','HS256',1795262400123456,NULL,X'01F1F84E2DDB28EE143AA7CB9A1FC48C1095AE915D5D40BD51207B75648E24FCCBA7DEFE856C6649226D1ACA81BE541008812B070C6E61B58628DFB71225849753440A');
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
INSERT INTO "audit" VALUES('acme',1,1795262400123456,'ann','admin','account.create','s','d','r');
INSERT INTO "audit" VALUES('acme',2,1795262400123456,'ann','admin','changed','s','d','r');
INSERT INTO "audit" VALUES('acme',3,1795262400123456,'ann','admin','changed','s','d','r');
INSERT INTO "audit" VALUES('other',1,1795262400123456,'ann','admin','account.create','s','d','r');
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
INSERT INTO "control" VALUES('acme','edge',3,'bypass','{"r":"log"}',1795262460123456,'why','ann');
INSERT INTO "control" VALUES('other','edge',3,'bypass','{"r":"log"}',1795262460123456,'why','ann');
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
INSERT INTO "device" VALUES('acme','h4gubfCFzJu81j/U2BJsdg==','','','','unpin','ann');
INSERT INTO "device" VALUES('other','h4gubfCFzJu81j/U2BJsdg==','','','','unpin','ann');
CREATE TABLE domain (
	account TEXT NOT NULL REFERENCES account (name),
	name    TEXT NOT NULL,
	format  TEXT NOT NULL,
	key_id  TEXT NOT NULL,
	pins    TEXT NOT NULL CHECK (json_valid(pins)),
	PRIMARY KEY (account, name)
) STRICT, WITHOUT ROWID;
INSERT INTO "domain" VALUES('acme','api.example','jwe','k1','["p"]');
INSERT INTO "domain" VALUES('acme','b.example','','','null');
INSERT INTO "domain" VALUES('acme','demo.example','','','null');
INSERT INTO "domain" VALUES('other','api.example','jwe','k1','["p"]');
INSERT INTO "domain" VALUES('other','demo.example','','','null');
CREATE TABLE generation (
	one   INTEGER PRIMARY KEY CHECK (one = 1),
	value INTEGER NOT NULL
) STRICT;
INSERT INTO "generation" VALUES(1,4);
CREATE TABLE goose_db_version (
		id INTEGER PRIMARY KEY AUTOINCREMENT,
		version_id INTEGER NOT NULL,
		is_applied INTEGER NOT NULL,
		tstamp TIMESTAMP DEFAULT (datetime('now'))
	);
INSERT INTO "goose_db_version" VALUES(1,0,1,'2026-11-21 23:04:07');
INSERT INTO "goose_db_version" VALUES(2,1,1,'2026-11-21 23:04:07');
CREATE TABLE library (
	account  TEXT NOT NULL REFERENCES account (name),
	id       TEXT NOT NULL,
	platform TEXT NOT NULL,
	version  TEXT NOT NULL,
	created  INTEGER,
	material BLOB NOT NULL,
	PRIMARY KEY (account, id)
) STRICT, WITHOUT ROWID;
INSERT INTO "library" VALUES('acme','1041','Go','1.0.0',1795262400123456,X'01F1F84E2DDB28EE14EDD4AF57745B3876C6503D014B0358BA9301771E5B0E5B716A5B3F8AB55BEC58AE040BC87602DB8CEF692115');
INSERT INTO "library" VALUES('other','1041','Go','1.0.0',1795262400123456,X'01F1F84E2DDB28EE14A63ACF131E0F83F396F441123EE009A72E0C88E380E411366C2B19B734ECBD23F18F98B9475FA908D9D8A822');
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
INSERT INTO "management_token" VALUES('acme','t1',X'0200000000000000000000000000000000000000000000000000000000000000','ann@example.com','ann','admin',1795262400123456,1795266000123456,1);
INSERT INTO "management_token" VALUES('other','t1',X'0200000000000000000000000000000000000000000000000000000000000000','ann@example.com','ann','admin',1795262400123456,1795266000123456,1);
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
INSERT INTO "registration" VALUES('acme',X'0100000000000000000000000000000000000000000000000000000000000000','com.example','2.0[3]','1041',1795262400123456,NULL,'ann','dev');
INSERT INTO "registration" VALUES('other',X'0100000000000000000000000000000000000000000000000000000000000000','com.example','2.0[3]','1041',1795262400123456,NULL,'ann','dev');
CREATE TABLE seal (
	one  INTEGER PRIMARY KEY CHECK (one = 1),
	text BLOB NOT NULL
) STRICT;
INSERT INTO "seal" VALUES(1,X'01F1F84E2DDB28EE140767954641DBB0B966D2A66980EE338E8361BFDEA4D8228685F43C4C40F99F83241D9143FCBCD644A026E1C28C0F874BAB564C57B23EFC8392B7');
COMMIT;
