"""The floor of an answered scan: a bare FastAPI endpoint that checks the body and does one insert with asyncpg."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import uvicorn
from fastapi import FastAPI, Request

from shared.events.inbox import StockScanned

SCHEMA = """
CREATE TABLE scans (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, barcode text NOT NULL, quantity bigint NOT NULL,
                    location text NOT NULL, scanned_at timestamptz NOT NULL);
"""
_INSERT = "INSERT INTO scans (barcode, quantity, location, scanned_at) VALUES ($1, $2, $3, $4) RETURNING id"


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """The pool lives as long as the app."""
    app.state.pool = await asyncpg.create_pool(os.environ["BENCH_DATABASE"], min_size=4, max_size=6)
    yield
    await app.state.pool.close()


app = FastAPI(lifespan=lifespan)


@app.post("/v1/events")
async def scan(body: StockScanned, request: Request) -> dict[str, int]:
    """One scan, one row."""
    row = (body.barcode, body.quantity, body.location, body.scanned_at)
    return {"answer": await request.app.state.pool.fetchval(_INSERT, *row)}


if __name__ == "__main__":
    uvicorn.run(
        app, host="127.0.0.1", port=int(os.environ["BENCH_PORT"]), access_log=False, log_level="warning"
    )
