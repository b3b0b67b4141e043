"""The engines' side of a gateway: the client that asks them, and what is built on it."""

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


class Engines:
    """Makes the parts that ask engines; all share `upstream`, and the connections that it keeps."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.timeouts = Timeouts(**{name: getattr(settings.upstream, name) for name in Timeouts.__struct_fields__})
        self.upstream = SchemeUpstream(
            Http1Upstream(
                keepalive=settings.upstream.keepalive,
                max_header_bytes=settings.limits.max_header_bytes,
                max_headers=settings.limits.max_headers,
            )
        )

    def prefills(self, admission: Admission) -> PrefillPods:
        """What asks for prefill legs."""
        return PrefillPods(self.upstream, admission, self.timeouts)

    def proxy(self, paths: Collection[str], elsewhere: ASGIApp) -> Proxy:
        """The inner end of the stack; `elsewhere` answers for all other paths."""
        return Proxy(
            self.upstream,
            forwarder=Forwarder(self.settings.listen.trusted_proxies),
            timeouts=self.timeouts,
            max_body_bytes=self.settings.limits.max_body_bytes,
            paths=paths,
            elsewhere=elsewhere,
        )
