"""Windows counted in Redis or Valkey: one script, so that a step is atomic, and one clock for all replicas."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from aibrix_mw.limiting.quota import Quota, Quotas

KEY_VERSION = "v1"

# A count is the string "<window>:<count>", so that one of an earlier window is none, however its key came to live on.
_COMMON = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]

local function read(key, window)
  local value = redis.call('GET', key)
  if not value then return 0 end
  local at, count = string.match(value, '^(%d+):(%d+)$')
  return tonumber(at) == window and tonumber(count) or 0
end

local function write(key, window, count, per)
  local value = string.format('%.0f:%.0f', window, count)
  redis.call('SET', key, value, 'PX', string.format('%.0f', math.ceil(per / 1000) + 1000))
end
"""

# ARGV: per group the number of its keys and how many hits are wanted, then of each key limit, cost and microseconds
# per window. Answers {seconds, microseconds, then per group hits taken and of each key window and count before}.
TAKE_SCRIPT = (
    _COMMON
    + """
local answer = {tonumber(time[1]), tonumber(time[2])}
local arg, first = 1, 1
while arg <= #ARGV do
  local size, taken = tonumber(ARGV[arg]), tonumber(ARGV[arg + 1])
  local seen = {}
  for i = 1, size do
    local at = arg + 3 * i - 1
    local limit, cost, per = tonumber(ARGV[at]), tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
    local window = math.floor(now / per)
    local count = read(KEYS[first + i - 1], window)
    seen[i] = {window, count, cost, per}
    taken = math.min(taken, math.max(0, math.floor((limit - count) / cost)))
  end
  table.insert(answer, taken)
  for i = 1, size do
    local window, count, cost, per = unpack(seen[i])
    table.insert(answer, window)
    table.insert(answer, count)
    if taken > 0 then write(KEYS[first + i - 1], window, count + taken * cost, per) end
  end
  arg, first = arg + 2 + 3 * size, first + size
end
return answer
"""
)

# ARGV: of each key window, amount and microseconds per window.
GIVE_SCRIPT = (
    _COMMON
    + """
for i, key in ipairs(KEYS) do
  local window, amount, per = tonumber(ARGV[3 * i - 2]), tonumber(ARGV[3 * i - 1]), tonumber(ARGV[3 * i])
  if window == math.floor(now / per) then
    write(key, window, math.max(0, read(key, window) - amount), per)
  end
end
return 1
"""
)


class Taken(NamedTuple):
    """What a group of hits got: how many were taken; of each quota its window and the count before.

    `now` is the store's time in seconds.
    """

    taken: int
    windows: tuple[int, ...]
    counts: tuple[int, ...]
    now: float


class Gift(NamedTuple):
    """What is given back: into which window of a quota, and how much; a negative amount takes without asking."""

    quota: Quota
    window: int
    amount: int


class RedisWindows:
    """Fixed windows of the store's clock, over an asynchronous `limits` RedisStorage (redis-py or valkey-py).

    Keys are `<namespace>:v1:{tag}...:<seconds>` and live for a window and a second at most. On a cluster every group
    is a trip of its own, because its keys live elsewhere.
    """

    def __init__(self, storage: Any, *, namespace: str = "aibrix_mw") -> None:  # noqa: ANN401 - any of limits' bridges
        self.storage = storage
        self.prefix = f"{namespace}:{KEY_VERSION}:"
        self.cluster = storage.MODE == "CLUSTER"
        self._take = self.client.register_script(TAKE_SCRIPT)
        self._give = self.client.register_script(GIVE_SCRIPT)

    @property
    def client(self) -> Any:  # noqa: ANN401 - redis.asyncio.Redis, or what Valkey's package has in its place
        """The storage's own client: pooled connections to the primary."""
        return self.storage.bridge.get_connection()

    async def take(self, groups: Sequence[tuple[Quotas, int]]) -> list[Taken]:
        """Take as many of the wanted hits of each group as all of its quotas have room for, in one step a group."""
        if self.cluster:
            return [(await self._take_in_one_trip([group]))[0] for group in groups]
        return await self._take_in_one_trip(groups)

    async def _take_in_one_trip(self, groups: Sequence[tuple[Quotas, int]]) -> list[Taken]:
        keys: list[str] = []
        args: list[int] = []
        for quotas, wanted in groups:
            args += (len(quotas), wanted)
            for quota in quotas:
                keys.append(self.prefix + quota.name)
                args += (quota.limit, quota.cost, _micros(quota))
        return list(_parse(await self._take(keys=keys, args=args), groups))

    async def give(self, gifts: Sequence[Gift]) -> None:
        """Give back into windows, where they are still open, down to 0."""
        for batch in [[gift] for gift in gifts] if self.cluster else [gifts]:
            keys = [self.prefix + gift.quota.name for gift in batch]
            await self._give(keys=keys, args=[arg for g in batch for arg in (g.window, g.amount, _micros(g.quota))])

    async def check(self) -> None:
        """Do once what counting does, on a key that limits nobody; raises what is wrong."""
        await self.take([((_CHECK,), 1)])

    async def aclose(self) -> None:
        """Close all connections; the next call opens new ones."""
        await self.client.aclose()
        for sentinel in getattr(getattr(self.storage.bridge, "sentinel", None), "sentinels", ()):
            await sentinel.aclose()


_CHECK = Quota("check", 2**40)


def _micros(quota: Quota) -> int:
    return round(quota.per * 1_000_000)


def _parse(answer: list[int], groups: Sequence[tuple[Quotas, int]]) -> Iterator[Taken]:
    now = answer[0] + answer[1] / 1_000_000
    at = 2
    for quotas, _ in groups:
        end = at + 1 + 2 * len(quotas)
        yield Taken(answer[at], tuple(answer[at + 1 : end : 2]), tuple(answer[at + 2 : end : 2]), now)
        at = end
