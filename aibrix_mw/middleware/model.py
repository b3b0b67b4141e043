"""ModelMiddleware: reads the body once and says which model serves the request."""

import time
from collections.abc import Iterable, Mapping
from typing import Literal

import msgspec
from starlette.types import ASGIApp, Receive, Scope, Send

from aibrix_mw.client import BodyReader, ClientLeft
from aibrix_mw.errors import GatewayError, InvalidRequest, RequestTooLarge, UnknownModel, UnsupportedEncoding
from aibrix_mw.multipart import FormModel, boundary_of
from aibrix_mw.paths import INFERENCE_PATHS, route_path
from aibrix_mw.pods.registry import PodRegistry, Served
from aibrix_mw.request import InferenceRequest, RequestFields, parse_fields, replace_value
from aibrix_mw.scope import CLIENT_LEFT, KEY, OUTCOME, REQUEST, InferencePaths, headers_of, refuse

_LONGEST_NUMBER = 18


class ModelMiddleware:
    """Fills the slot REQUEST; refuses bodies that name no model and models that nobody serves.

    `unknown="pass"` hands requests for unknown models to the inner application untouched. The inner application may
    read the body again. Sizes are bytes: a body over `max_body_bytes` is refused, one over `max_replay_bytes` is tried
    on one pod only, and so is any request for a path beyond the default ones: nobody says that it is safe to repeat.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        registry: PodRegistry,
        unknown: Literal["refuse", "pass"] = "refuse",
        paths: Iterable[str] = INFERENCE_PATHS,
        max_body_bytes: int = 67_108_864,
        max_replay_bytes: int = 8_388_608,
        allow_transfer_params: bool = False,
        trust_user_header: bool = True,
    ) -> None:
        self.app = app
        self.registry = registry
        self.unknown = unknown
        self.paths = InferencePaths(paths)
        self.max_body_bytes = max_body_bytes
        self.max_replay_bytes = max_replay_bytes
        self.allow_transfer_params = allow_transfer_params
        self.trust_user_header = trust_user_header

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Resolve the model, then run the inner application."""
        if not self.paths.match(scope):
            await self.app(scope, receive, send)
            return
        reader = BodyReader(receive, self.max_body_bytes)
        try:
            request = await self._read(scope, reader)
        except ClientLeft:
            OUTCOME.put(scope, CLIENT_LEFT)
            return
        except UnknownModel as error:
            if self.unknown == "refuse":
                await refuse(error, scope, receive, send)
                return
        except GatewayError as error:
            await refuse(error, scope, receive, send)
            return
        else:
            REQUEST.put(scope, request)
        await self.app(scope, reader.replay(), send)

    async def _read(self, scope: Scope, reader: BodyReader) -> InferenceRequest:
        headers = headers_of(scope)
        if headers.get(b"content-encoding", b"identity") != b"identity":
            raise UnsupportedEncoding("compressed request bodies are not supported")
        length = headers.get(b"content-length")
        if length is not None and _size(length) > self.max_body_bytes:
            raise RequestTooLarge(self.max_body_bytes)
        boundary = boundary_of(headers.get(b"content-type", b""))
        if boundary is not None:
            return await self._read_form(scope, reader, boundary)
        return self._request(scope, reader, parse_fields(await reader.all()))

    async def _read_form(self, scope: Scope, reader: BodyReader, boundary: bytes) -> InferenceRequest:
        """Read a form up to its field `model`; the parts after it stay in `receive`."""
        form = FormModel(boundary)
        while form.model is None:
            if not reader.more:
                raise InvalidRequest("model is missing", param="model")
            form.feed(await reader.next())
        return self._request(scope, reader, RequestFields(form.model), form)

    def _request(
        self, scope: Scope, reader: BodyReader, fields: RequestFields, form: FormModel | None = None
    ) -> InferenceRequest:
        self._check_transfer_fields(fields)
        served = self.registry.find(fields.model)
        if served is None:
            raise UnknownModel(fields.model)
        headers = headers_of(scope)
        body = self._renamed(reader, served, form) if served.rewrite else reader.body
        length = headers.get(b"content-length")
        return InferenceRequest(
            model=served.model,
            requested_model=fields.model,
            path=route_path(scope),
            body=body,
            length=int(length) + len(body) - len(reader.body) if length is not None else None,
            fields=fields,
            headers=headers,
            user=self._user(scope, headers),
            more=reader.more,
            received=time.perf_counter(),
            repeatable=(
                not reader.more and len(reader.body) <= self.max_replay_bytes and route_path(scope) in INFERENCE_PATHS
            ),
        )

    def _user(self, scope: Scope, headers: Mapping[bytes, bytes]) -> str | None:
        """Whom the key belongs to; where no key is asked for, whom the client says."""
        key = KEY.get(scope)
        if key is not None:
            return key.name
        user = headers.get(b"user") if self.trust_user_header else None
        return user.decode("latin-1") if user else None

    def _check_transfer_fields(self, fields: RequestFields) -> None:
        if self.allow_transfer_params:
            return
        name = fields.transfer_field()
        if name is not None:
            raise InvalidRequest(f"{name} is not allowed from clients", param=name)

    def _renamed(self, reader: BodyReader, served: Served, form: FormModel | None) -> bytes:
        """The body with the alias replaced by the model's name, all other bytes as they came."""
        if form is not None:
            return form.renamed(reader.body, served.model)
        return replace_value(reader.body, "model", msgspec.json.encode(served.model))


def _size(length: bytes) -> int:
    """Value of a content-length header; not every server refuses what is no number."""
    if not length.isdigit() or len(length) > _LONGEST_NUMBER:
        raise InvalidRequest("content-length is not a number")
    return int(length)
