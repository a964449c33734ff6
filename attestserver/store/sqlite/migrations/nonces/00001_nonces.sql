-- +goose Up
CREATE TABLE used_nonce (
	id    BLOB PRIMARY KEY CHECK (length(id) = 16),
	until INTEGER NOT NULL -- microseconds since 1970
) STRICT, WITHOUT ROWID;

CREATE INDEX used_nonce_until ON used_nonce (until);
