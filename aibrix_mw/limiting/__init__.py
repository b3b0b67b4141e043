"""Counting requests in windows of the clock, in process or in a store that replicas share.

quota.py    what may be taken, and what came of asking
store.py    a `limits` storage by its URL
memory.py   windows in a `limits` MemoryStorage: synchronous
redis.py    windows in a `limits` RedisStorage: one script, one clock for all replicas
limiter.py  what middlewares ask: batches trips to the store, and decides alone while it is away
model.py    the quotas that a model's configuration sets
breaker.py  whether the store is worth asking

A window is floor(time / per) by the clock of whoever counts. Within one window at most `limit` is taken, a hit that is
refused takes nothing, and what is given back goes into the window that it was taken from, or nowhere.
"""
