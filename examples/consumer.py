"""A consumer: requests put readings into a queue in memory, and a service writes them in batches.

Each process has its own queue and so its own consumer. By hand this takes a task that the
lifespan starts, watches, starts again, cancels and waits for. What is in the queue is lost if
the process is killed: what must not be lost is a job.

Start it by `python examples/consumer.py`, and send it something:

    curl -d '{"sensor": "roof", "celsius": 21.5}' http://127.0.0.1:5002/readings
    curl http://127.0.0.1:5002/services

    READINGS        the file that is written; `readings.jsonl` in the current folder
    ERRANDS_URL     the store; `memory:`, since this example keeps no jobs
    PORT            5002
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel

from errands import Errands, ServiceStatus, ready
from errands.fastapi import setup_errands

BATCH = 500  # readings that are written at once, at the most
READINGS = Path(os.environ.get("READINGS") or "readings.jsonl")


class Reading(BaseModel):
    sensor: str
    celsius: float


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    app.state.file = await asyncio.to_thread(READINGS.open, "a", encoding="utf-8")
    yield
    app.state.file.close()  # the consumer has ended by then


app = FastAPI(lifespan=lifespan)
errands = Errands(os.environ.get("ERRANDS_URL") or "memory:", grace=5)
setup_errands(app, errands)
queue = asyncio.Queue[Reading](maxsize=10_000)


@errands.service(every_process=True)
async def consume() -> None:
    ready()
    try:
        while True:
            write([await queue.get(), *waiting()])
    finally:  # the application stops: what it has answered with 202 is written yet
        while readings := waiting():
            write(readings)


def waiting() -> list[Reading]:
    return [queue.get_nowait() for _ in range(min(queue.qsize(), BATCH - 1))]


def write(readings: list[Reading]) -> None:
    app.state.file.writelines(f"{reading.model_dump_json()}\n" for reading in readings)
    app.state.file.flush()


@app.post("/readings", status_code=202)
async def add_reading(reading: Reading) -> dict[str, int]:
    try:
        queue.put_nowait(reading)
    except asyncio.QueueFull:
        raise HTTPException(503, "too many readings wait to be written") from None
    return {"waiting": queue.qsize()}


@app.get("/services")
async def services() -> list[dict[str, Any]]:
    return [told(service) for service in await errands.services()]


def told(service: ServiceStatus) -> dict[str, Any]:
    return {"name": service.name, "state": service.state, "restarts": service.restarts}


if __name__ == "__main__":
    uvicorn.run(app, port=int(os.environ.get("PORT", "5002")))
