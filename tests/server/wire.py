"""A client's connection whose transport and clock are in the test's hand, and applications to put behind it."""

import asyncio
from collections import defaultdict

import uvicorn
from uvicorn.server import ServerState

from aibrix_mw.server.protocol import GatewayProtocol

GET = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 6\r\n\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n"
BAD_REQUEST = b"HTTP/1.1 400 Bad Request\r\n"
FAILED = b"HTTP/1.1 500 Internal Server Error\r\n"
BODY = "http.response.body"
DISCONNECT = {"type": "http.disconnect"}


def get(path):
    return GET.replace(b"/", path, 1)


def start(*headers, status=200):
    return {"type": "http.response.start", "status": status, "headers": headers}


def saying(*messages):
    """An application that says this and nothing else."""

    async def app(_scope, _receive, send):
        for message in messages:
            await send(message)

    return app


def whole(body=b"hello", *headers, status=200):
    """An application with an answer in one piece."""
    length = (b"content-length", b"%d" % len(body))
    return saying(start(length, *headers, status=status), {"type": BODY, "body": body})


async def read_all(receive):
    body, more = b"", True
    while more:
        message = await receive()
        assert message["type"] == "http.request"
        body, more = body + message["body"], message["more_body"]
    return body


async def echo(_scope, receive, send):
    """Answer with the body of the request."""
    await whole(await read_all(receive))(_scope, receive, send)


async def settle():
    """Let everything run that can run."""
    for _ in range(20):
        await asyncio.sleep(0)


class Clock:
    """The running loop, but its timers go off when the test says so."""

    def __init__(self):
        self.loop = asyncio.get_running_loop()
        self.now = 0.0
        self.alarms = []
        self.create_task, self.call_soon = self.loop.create_task, self.loop.call_soon

    def time(self):
        return self.now

    def call_later(self, delay, callback):
        alarm = Alarm(self, self.now + delay, callback)
        self.alarms.append(alarm)
        return alarm

    def advance(self, seconds):
        self.now += seconds
        for alarm in [alarm for alarm in self.alarms if alarm.when <= self.now]:
            alarm.cancel()
            alarm.callback()


class Alarm:
    def __init__(self, clock, when, callback):
        self.clock, self.when, self.callback = clock, when, callback

    def cancel(self):
        self.clock.alarms.remove(self)


class Transport:
    """Keeps what is written, and tells of the end a turn of the loop after `close`, as real ones do."""

    def __init__(self, protocol):
        self.protocol = protocol
        self.writes = []
        self.closed = self.ended = False
        self.reading = True

    def write(self, data):
        assert not self.closed, "nothing is written to a closed connection"
        assert not self.ended
        assert data
        self.writes.append(bytes(data))

    def close(self):
        if not self.closed:
            self.closed = True
            asyncio.get_running_loop().call_soon(self.protocol.connection_lost, None)

    def can_write_eof(self):
        return True

    def write_eof(self):
        self.ended = True

    def is_closing(self):
        return self.closed

    def is_reading(self):
        return self.reading

    def pause_reading(self):
        self.reading = False

    def resume_reading(self):
        self.reading = True

    def get_extra_info(self, name, default=None):
        return {"peername": ("192.0.2.1", 5), "sockname": ("192.0.2.2", 80)}.get(name, default)


class Wire:
    """A connection to an application."""

    def __init__(self, app, loop=None, kind=GatewayProtocol, bounds=None, **options):
        more = {} if bounds is None else {"bounds": bounds}
        quiet = {"log_config": None, "lifespan": "off", "ws": "none", "http": kind, "access_log": False}
        self.state = ServerState()
        self.protocol = kind(uvicorn.Config(app, **quiet | options), self.state, {}, loop, **more)
        self.transport = Transport(self.protocol)
        self.protocol.connection_made(self.transport)

    async def send(self, *pieces):
        """Send each piece in a segment of its own; gives what has been written since the last time."""
        for piece in pieces:
            self.protocol.data_received(piece)
            await settle()
        return self.taken()

    def taken(self):
        taken = b"".join(self.transport.writes)
        self.transport.writes.clear()
        return taken

    async def leave(self):
        """Close the client's end."""
        self.transport.close()
        await settle()

    @property
    def closed(self):
        return self.transport.closed


class Held:
    """An application that begins to answer with the path, and ends with the body once the path is let go."""

    def __init__(self):
        self.begun, self.gates = [], defaultdict(asyncio.Event)

    async def __call__(self, scope, receive, send):
        path = scope["path"]
        self.begun.append(path)
        await send(start((b"x", path.encode())))
        await send({"type": BODY, "more_body": True})
        await self.gates[path].wait()
        await send({"type": BODY, "body": await read_all(receive)})

    async def let(self, wire, path):
        """Let go of the answer to a path; gives what is written then."""
        self.gates[path].set()
        await settle()
        return wire.taken()


class Listening:
    """An application that takes one event each time it is told to, and answers when it is told to."""

    def __init__(self):
        self.heard, self.wanted, self.answer = [], asyncio.Semaphore(0), asyncio.Event()
        self.end = asyncio.Event()

    async def __call__(self, scope, receive, send):
        self.send = send
        listener = asyncio.create_task(self._listen(receive))
        await self.answer.wait()
        await whole(b"ok")(scope, receive, send)
        await self.end.wait()
        listener.cancel()

    async def _listen(self, receive):
        while await self.wanted.acquire():
            self.heard.append(await receive())

    async def next(self):
        """The next event, or None while there is none."""
        count = len(self.heard)
        self.wanted.release()
        await settle()
        return self.heard[-1] if len(self.heard) > count else None


async def answer_of(app, request=GET):
    """What the application's answer is on the wire."""
    return await Wire(app).send(request)
