"""The peers' tables, each with the keys its own way of working needs and no more."""

_ACCOUNTS = """
CREATE TABLE accounts (order_id text PRIMARY KEY, balance bigint NOT NULL, payments bigint NOT NULL, doc jsonb NOT NULL);
"""
FLOOR_SCHEMA = f"""{_ACCOUNTS}
CREATE TABLE inbox (event_id text PRIMARY KEY, seen_at timestamptz NOT NULL DEFAULT now());
CREATE TABLE event_log (position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, stream text NOT NULL, type text NOT NULL,
                        time timestamptz NOT NULL, cause text NOT NULL, data text NOT NULL);
CREATE TABLE outbox (position bigint PRIMARY KEY);
"""
ORM_SCHEMA = DBOS_SCHEMA = f"""{_ACCOUNTS}
CREATE TABLE event_log (position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, cause text NOT NULL UNIQUE,
                        stream text NOT NULL, type text NOT NULL, time timestamptz NOT NULL, data text NOT NULL);
"""
