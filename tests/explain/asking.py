"""Asking a gateway to explain."""

import json

from tests.support import ask


async def explain(running, model="m", status=200, **question):
    """What `POST /explain` answers."""
    question = {"model": model} | question
    reply = await ask(running.gateway.admin, json.dumps(question).encode(), "/explain")
    assert reply.status == status, reply.body
    return reply.json()


def excluded(told):
    """The pods by name, each with the reason why it is no candidate."""
    return {pod["name"]: pod["excluded"] for pod in told["pods"]}


def scores(told):
    """The pods by name, each with its score."""
    return {pod["name"]: pod["score"] for pod in told["pods"]}
