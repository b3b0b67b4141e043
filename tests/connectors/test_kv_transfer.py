"""vLLM's kv_transfer_params."""

import json

import pytest

from aibrix_mw.connectors.base import BadTransfer, NothingToTransfer
from aibrix_mw.connectors.kv_transfer import KvTransfer
from tests.legs import PARAMS
from tests.support import info


def handed_over(params):
    text = params if isinstance(params, bytes) else json.dumps(params).encode()
    return KvTransfer().to_decode(info(), {}, b'{"kv_transfer_params": %b}' % text)["kv_transfer_params"]


def test_as_received():
    text = b'{"remote_host" : "10.9.9.9", "x": 1.50}'
    assert handed_over(text) == text
    assert json.loads(handed_over(PARAMS)) == PARAMS


DEEP = b'{"kv_transfer_params":' + 100_000 * b"[" + 100_000 * b"]" + b"}"


@pytest.mark.parametrize("host", [{}, {"remote_host": None}, {"remote_host": ""}])
def test_the_pods_address_where_none_is_said(host):
    params = {"remote_block_ids": [1], **host}
    assert json.loads(handed_over(params)) == {"remote_block_ids": [1], "remote_host": "10.0.0.1"}


def test_empty_params():
    assert json.loads(handed_over(b" {} ")) == {"remote_host": "10.0.0.1"}


@pytest.mark.parametrize("text", [b"", b"[]", b"{}", b'{"kv_transfer_params": null, "choices": [{}]}', DEEP])
def test_no_params(text):
    with pytest.raises(BadTransfer) as caught:
        KvTransfer().to_decode(info(), {}, text)
    assert not isinstance(caught.value, NothingToTransfer)


def test_an_answer_that_is_over():
    with pytest.raises(NothingToTransfer):
        KvTransfer().to_decode(info(), {}, b'{"kv_transfer_params": null, "choices": [{"finish_reason": "stop"}]}')
