"""A broker that runs: its address, whether it answers and may be emptied, and its process."""

import asyncio
import os
import re
import time
from collections.abc import Collection
from pathlib import Path

import psutil
import typer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError

from benchmarks import machine
from deploy.topics import raise_refused

MARK = "handover-benchmarks"
"""The topic that says: this broker is for benchmarks. They make it where none of the topics is that they empty."""

_FORWARDERS = {"docker-proxy", "rootlessport", "ssh"}
"""What listens for a broker that is elsewhere: in a container, or on another machine."""


def checked(kafka: str | None) -> str | None:
    """The value of `--kafka`. Raises BadParameter."""
    if kafka is not None:
        host, _, port = kafka.rpartition(":")
        if not host or not port.isdecimal() or not 1 <= int(port) <= 65_535:
            raise typer.BadParameter(f"{kafka!r} is no host:port, such as 127.0.0.1:9092")
    return kafka


async def answers(kafka: str, patience: float) -> None:
    """Wait until it does. Raises BadParameter after `patience` seconds."""
    deadline = time.monotonic() + patience
    while True:
        admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
        try:
            await admin.start()
            await admin.list_topics()
            return
        except (KafkaError, OSError) as error:
            if time.monotonic() > deadline:
                raise typer.BadParameter(
                    f"no Kafka answers at {kafka}: {error}", param_hint="--kafka"
                ) from error
            await asyncio.sleep(0.3)
        finally:
            await admin.close()


async def claim(kafka: str, names: Collection[str]) -> None:
    """Make sure that nobody's topics of these names will be emptied: there are none, or the broker has the MARK, which it gets
    here. Raises BadParameter, having changed nothing."""
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        there = set(await admin.list_topics())
        if MARK in there:
            return
        if found := sorted(there & set(names)):
            raise typer.BadParameter(
                f"the broker at {kafka} has the topics {', '.join(found)}, and no topic {MARK} that would say that it is there "
                "for benchmarks. They would empty these topics, unread records too, and their services would join the groups "
                "of those that run. Name another broker, or leave --kafka out, and it is a container. If nothing there is to "
                f"be kept, make the topic and start again: kafka-topics.sh --bootstrap-server {kafka} --create --topic {MARK}",
                param_hint="--kafka",
            )
        raise_refused(await admin.create_topics([NewTopic(MARK, 1, 1)]))
    finally:
        await admin.close()


def process(kafka: str) -> int | None:
    """The broker's process; None where it is not on this machine, or not to be seen."""
    host, _, port = kafka.rpartition(":")
    ours = {"localhost", *(a.address for of in psutil.net_if_addrs().values() for a in of)}
    pid = machine.listening_on(int(port)) if host.strip("[]") in ours else None
    return None if pid is None or psutil.Process(pid).name() in _FORWARDERS else pid


def version(pid: int | None) -> str | None:
    """Kafka's version, by the jars that its process was started with: the protocol does not say it. None where they do not."""
    if pid is None:
        return None
    try:
        arguments = psutil.Process(pid).cmdline()
    except psutil.Error:
        return None
    for entry in (Path(e) for argument in arguments for e in argument.split(os.pathsep)):
        for jar in entry.parent.glob("kafka_*.jar") if entry.name == "*" else (entry,):
            if told := re.fullmatch(r"kafka_[\d.]+-(\d[\w.-]*)\.jar", jar.name):
                return told[1]
    return None
