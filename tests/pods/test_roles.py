"""What labels say of a pod's part."""

import pytest

from aibrix_mw.pods.roles import Role, bootstrap_port, connector_name, role_of
from tests.support import info

LABELS = {"role-name": "prefill", "roleset-name": "a"}


def test_a_part():
    assert role_of(info(labels=LABELS)) == Role("prefill", "a", ("vllm", "nixl"), None)
    more = {**LABELS, "model.aibrix.ai/pd-compatibility": "v1", "model.aibrix.ai/kv-connector-type": "shfs"}
    assert role_of(info(labels=more)) == Role("prefill", "a", ("vllm", "shfs"), "v1")
    assert role_of(info(labels=more, engine="sglang")) == Role("prefill", "a", ("sglang", "sglang"), "v1")


@pytest.mark.parametrize("labels", [{}, {"role-name": "decode"}, {"roleset-name": "a"}, {**LABELS, "role-name": "x"}])
def test_no_part(labels):
    assert role_of(info(labels=labels)) is None


def test_the_connector_of_an_engine_that_has_but_one():
    assert connector_name(info(labels={"model.aibrix.ai/kv-connector-type": "nixl"}, engine="trtllm")) == "trtllm"


@pytest.mark.parametrize(("text", "port"), [(None, 8998), ("9000", 9000), ("65535", 65535)])
def test_bootstrap_port(text, port, log):
    annotations = {} if text is None else {"model.aibrix.ai/sglang-bootstrap-port": text}
    assert bootstrap_port(info(annotations=annotations)) == port
    assert log() == []


@pytest.mark.parametrize("text", ["0", "65536", "http", "9_0", "", "²"])
def test_a_port_that_is_none(text, log):
    pod = info(name=f"odd-{text}", annotations={"model.aibrix.ai/sglang-bootstrap-port": text})
    assert (bootstrap_port(pod), bootstrap_port(pod)) == (8998, 8998)
    (line,) = log()
    assert "sglang-bootstrap-port" in line
