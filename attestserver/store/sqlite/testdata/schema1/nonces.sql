-- TEST KEYS: what is secret here was made by a test and sealed under storetest.Sealer, a test key.
BEGIN TRANSACTION;
CREATE TABLE goose_db_version (
		id INTEGER PRIMARY KEY AUTOINCREMENT,
		version_id INTEGER NOT NULL,
		is_applied INTEGER NOT NULL,
		tstamp TIMESTAMP DEFAULT (datetime('now'))
	);
INSERT INTO "goose_db_version" VALUES(1,0,1,'2026-11-21 23:04:07');
INSERT INTO "goose_db_version" VALUES(2,1,1,'2026-11-21 23:04:07');
CREATE TABLE used_nonce (
	id    BLOB PRIMARY KEY CHECK (length(id) = 16),
	until INTEGER NOT NULL -- microseconds since 1970
) STRICT, WITHOUT ROWID;
INSERT INTO "used_nonce" VALUES(X'07000000000000000000000000000000',1795262700123456);
CREATE INDEX used_nonce_until ON used_nonce (until);
COMMIT;
