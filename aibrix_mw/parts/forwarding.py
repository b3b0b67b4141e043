"""How engines are asked: the client of engines, the two legs' ends of the stack, and their timers."""

from collections.abc import Collection

from starlette.types import ASGIApp

from aibrix_mw.headers import Forwarder
from aibrix_mw.pods.admission import Admission
from aibrix_mw.prefill import PrefillPods
from aibrix_mw.proxy import Proxy
from aibrix_mw.settings import Settings
from aibrix_mw.upstream.base import Timeouts
from aibrix_mw.upstream.http1 import Http1Upstream
from aibrix_mw.upstream.schemes import SchemeUpstream


class Forwarding:
    """What the settings make of asking engines; `upstream` is to be closed."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.upstream = SchemeUpstream(
            Http1Upstream(
                keepalive=settings.upstream.keepalive,
                max_header_bytes=settings.limits.max_header_bytes,
                max_headers=settings.limits.max_headers,
            )
        )
        self.timeouts = Timeouts(**{name: getattr(settings.upstream, name) for name in Timeouts.__struct_fields__})

    def prefills(self, admission: Admission) -> PrefillPods:
        """What asks prefill pods."""
        return PrefillPods(self.upstream, admission, self.timeouts)

    def proxy(self, paths: Collection[str], elsewhere: ASGIApp) -> Proxy:
        """The inner end of the stack; `elsewhere` answers what is not for engines."""
        return Proxy(
            self.upstream,
            forwarder=Forwarder(self.settings.listen.trusted_proxies),
            timeouts=self.timeouts,
            max_body_bytes=self.settings.limits.max_body_bytes,
            paths=paths,
            elsewhere=elsewhere,
        )
