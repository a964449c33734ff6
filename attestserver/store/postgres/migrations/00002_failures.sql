-- +goose Up
-- It refers to no account: keeping a failure must never wait for a change of one. found is JSON, but TEXT: JSONB keeps
-- no \u0000, which an app may say.
CREATE TABLE failure (
	id      BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	account TEXT NOT NULL,
	at      TIMESTAMPTZ NOT NULL,
	request TEXT NOT NULL,
	device  TEXT NOT NULL,
	proven  BOOLEAN NOT NULL,
	found   TEXT NOT NULL
);
CREATE INDEX failure_request ON failure (account, request);
CREATE INDEX failure_device ON failure (account, device, at);
CREATE INDEX failure_age ON failure (account, proven, at);
