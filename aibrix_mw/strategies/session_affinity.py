"""`session-affinity`: a conversation stays on its pod."""

from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b

import xxhash

from aibrix_mw.pods.pod import Pod, Target
from aibrix_mw.request import InferenceRequest
from aibrix_mw.strategies.base import Pods, Scorer, least_in_flight

PUBLIC_KEY = b"aibrix_mw session"
_LONGEST_KEY_BYTES = 256


@lru_cache(maxsize=65536)
def session_id(uid: str, key: bytes) -> bytes:
    """Opaque name of a pod, the same on every replica: blake2b-128 of its uid, as hexadecimal digits."""
    return blake2b(uid.encode(), digest_size=16, key=key).hexdigest().encode()


class SessionAffinity(Scorer):
    """The pod that `x-session-id` names, else the rendezvous winner of `x-aibrix-session-key`, else least-request.

    The answer carries `x-session-id` of the pod that was used. Option `sessionKey`: bytes (at most 64) that ids are
    derived with. Rendezvous hashing: Thaler and Ravishankar, 1998; here the pod with the highest xxh64(key, 0x00, uid).
    """

    def set_up(self) -> None:
        """The key of session ids."""
        self.key: bytes = self.options.get("sessionKey", PUBLIC_KEY)

    def pick(self, request: InferenceRequest, pods: Pods, /) -> Target:
        """The session's pod."""
        return self.chosen(request, self._pod_of_session(request, pods) or least_in_flight(pods, self.rng))

    def scores(self, request: InferenceRequest, pods: Pods, /) -> Sequence[float]:
        """0 for the session's pod, 1 for all others."""
        session_pod = self._pod_of_session(request, pods)
        return [0.0 if pod is session_pod else 1.0 for pod in pods]

    def chosen(self, request: InferenceRequest, pod: Pod, /, fallback: str | None = None) -> Target:
        """Tell the client the session's id."""
        return Target(pod, headers=((b"x-session-id", session_id(pod.uid, self.key)),), fallback=fallback)

    def _pod_of_session(self, request: InferenceRequest, pods: Pods) -> Pod | None:
        session = request.header(b"x-session-id")
        if session is not None:
            for pod in pods:
                if session_id(pod.uid, self.key) == session:
                    return pod
        key = request.header(b"x-aibrix-session-key")
        if key and len(key) <= _LONGEST_KEY_BYTES:
            return max(pods, key=lambda pod: xxhash.xxh64_intdigest(key + b"\0" + pod.uid.encode()))
        return None
