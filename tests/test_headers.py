"""Which headers cross the gateway (F6, F8, F67, F68)."""

import pytest

from aibrix_mw.headers import HOP_BY_HOP, Forwarder, to_client

OURS = [
    b"target-pod",
    b"target-pod-ip",
    b"prefill-target-pod",
    b"prefill-target-pod-ip",
    b"routing-strategy",
    b"x-aibrix-config-profile",
    b"x-ratelimit-limit-requests",
    b"x-ratelimit-remaining-requests",
    b"x-ratelimit-reset-requests",
    b"x-request-id",
    b"x-session-id",
]
READ_HERE = [b"config-profile", b"external-filter", b"x-aibrix-session-key"]
FORWARDED = [b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"forwarded", b"x-real-ip"]


def forwarded(headers, trusted=(), peer="203.0.113.9", request_id=b"id", **scope):
    """What an engine gets: the client's own, and what the gateway adds."""
    client = (peer, 5555) if peer else None
    full = {"headers": headers, "client": client, "scheme": "https"} | scope
    kept = Forwarder(trusted).to_engine(full, dict(headers), request_id)
    added = [b"x-request-id", b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host"]
    return [header for header in kept if header[0] not in added], {k: v for k, v in kept if k in added}


def test_there_are_nine_hop_by_hop_names():
    assert len(HOP_BY_HOP) == 9


@pytest.mark.parametrize("name", sorted(HOP_BY_HOP))
def test_f6_hop_by_hop_ends_here(name):
    headers = [(b"a", b"1"), (name, b"x"), (b"b", b"2")]
    assert forwarded(headers)[0] == [(b"a", b"1"), (b"b", b"2")]
    assert to_client(headers) == [(b"a", b"1"), (b"b", b"2")]


@pytest.mark.parametrize("value", [b"x-foo, keep-alive", b"X-Foo", b" x-foo ,", b"close, x-foo"])
def test_f6_names_in_connection_end_here(value):
    headers = [(b"connection", value), (b"x-foo", b"1"), (b"x-bar", b"2")]
    assert forwarded(headers)[0] == [(b"x-bar", b"2")]
    assert to_client(headers) == [(b"x-bar", b"2")]


def test_f6_two_connection_headers():
    headers = [(b"connection", b"x-a"), (b"x-a", b"1"), (b"connection", b"x-b"), (b"x-b", b"1"), (b"x-c", b"1")]
    assert forwarded(headers)[0] == [(b"x-c", b"1")]
    assert to_client(headers) == [(b"x-c", b"1")]


def test_f6_connection_cannot_remove_what_the_gateway_adds():
    _, added = forwarded([(b"connection", b"x-request-id, x-forwarded-for")])
    assert added[b"x-request-id"] == b"id"
    assert added[b"x-forwarded-for"] == b"203.0.113.9"


@pytest.mark.parametrize("name", OURS + READ_HERE + [b"expect", b"content-length", b"host"])
def test_f67_what_is_for_the_gateway_does_not_reach_an_engine(name):
    kept, added = forwarded([(name, b"forged")])
    assert kept == []
    assert b"forged" not in added.values() or name == b"host"


@pytest.mark.parametrize("name", OURS)
def test_an_engine_cannot_say_what_the_gateway_says(name):
    assert to_client([(name, b"forged"), (b"x", b"1")]) == [(b"x", b"1")]


@pytest.mark.parametrize("name", [b"x_forwarded_for", b"target_pod", b"x_request_id", b"transfer_encoding"])
def test_f8_underscores_are_no_way_around(name):
    assert forwarded([(name, b"forged")])[0] == []


def test_everything_else_passes_in_order():
    headers = [(b"b", b"1"), (b"authorization", b"Bearer k"), (b"a", b"2"), (b"b", b"3"), (b"user", b"u")]
    assert forwarded(headers)[0] == headers
    assert to_client(headers) == headers


def test_an_answers_own_framing_stays():
    headers = [(b"content-length", b"5"), (b"content-encoding", b"gzip"), (b"date", b"x"), (b"server", b"vllm")]
    assert to_client(headers) == headers


# --- where the request came from


def test_f68_forwarded_headers_are_replaced():
    kept, added = forwarded([(name, b"forged") for name in FORWARDED] + [(b"host", b"gw.example")])
    assert kept == []
    assert added == {
        b"x-request-id": b"id",
        b"x-forwarded-for": b"203.0.113.9",
        b"x-forwarded-proto": b"https",
        b"x-forwarded-host": b"gw.example",
    }


@pytest.mark.parametrize(
    ("trusted", "peer"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("10.0.0.0/8", "10.200.0.1"),
        ("10.0.0.7/8", "10.1.1.1"),
        ("::1", "::1"),
        ("fd00::/8", "fd12::1"),
        ("10.0.0.0/8", "::ffff:10.0.0.1"),
    ],
)
def test_a_trusted_peer_is_appended_to(trusted, peer):
    headers = [
        (b"x-forwarded-for", b"198.51.100.1"),
        (b"x-forwarded-for", b"198.51.100.2"),
        (b"x-forwarded-proto", b"http"),
        (b"x-forwarded-host", b"public.example"),
        (b"host", b"inner"),
    ]
    kept, added = forwarded(headers, [trusted], peer)
    assert kept == []
    assert added[b"x-forwarded-for"] == b"198.51.100.1, 198.51.100.2, " + peer.encode()
    assert added[b"x-forwarded-proto"] == b"http"
    assert added[b"x-forwarded-host"] == b"public.example"


def test_a_trusted_peer_that_says_nothing():
    _, added = forwarded([(b"host", b"inner")], ["10.0.0.1"], "10.0.0.1")
    assert added[b"x-forwarded-for"] == b"10.0.0.1"
    assert (added[b"x-forwarded-proto"], added[b"x-forwarded-host"]) == (b"https", b"inner")


@pytest.mark.parametrize("peer", ["203.0.113.9", "fd00::1", "unix", ""])
def test_others_are_not_believed(peer):
    _, added = forwarded([(b"x-forwarded-for", b"198.51.100.1")], ["10.0.0.0/8", "::1"], peer)
    assert added[b"x-forwarded-for"] == (peer.encode() or b"unknown")


def test_without_an_id_none_is_sent():
    assert b"x-request-id" not in forwarded([(b"x-request-id", b"forged")], request_id=None)[1]
