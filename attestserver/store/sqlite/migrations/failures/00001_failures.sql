-- +goose Up
CREATE TABLE failure (
	id      INTEGER PRIMARY KEY,
	account TEXT NOT NULL,
	at      INTEGER NOT NULL, -- microseconds since 1970
	request TEXT NOT NULL,
	device  TEXT NOT NULL,
	proven  INTEGER NOT NULL CHECK (proven IN (0, 1)),
	found   TEXT NOT NULL CHECK (json_valid(found))
) STRICT;

CREATE INDEX failure_request ON failure (account, request);
CREATE INDEX failure_device ON failure (account, device, at);
CREATE INDEX failure_age ON failure (account, proven, at);
