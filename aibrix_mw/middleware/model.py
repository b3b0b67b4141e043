"""ModelMiddleware: reads the body once and says which model serves the request."""

import time
from collections.abc import Iterable, Mapping
from typing import Literal

import msgspec
from starlette.types import ASGIApp, Receive, Scope, Send

from aibrix_mw.buffered import Buffered
from aibrix_mw.client import BodyReader, ClientLeft
from aibrix_mw.errors import (
    GatewayError,
    InvalidRequest,
    RequestTooLarge,
    Unavailable,
    UnknownModel,
    UnsupportedEncoding,
)
from aibrix_mw.headers import text_of
from aibrix_mw.keys import cache_salt
from aibrix_mw.multipart import FormModel, boundary_of
from aibrix_mw.paths import INFERENCE_PATHS, route_path
from aibrix_mw.pods.registry import PodRegistry
from aibrix_mw.request import InferenceRequest, RequestFields, parse_fields
from aibrix_mw.scope import CLIENT_LEFT, KEY, OUTCOME, REQUEST, InferencePaths, headers_of, refuse
from aibrix_mw.splice import JsonObject

_LONGEST_NUMBER = 18


class ModelMiddleware:
    """Fills the slot REQUEST; refuses bodies that name no model and models that nobody serves.

    `unknown="pass"` hands requests for unknown models to the inner application untouched. The inner application may
    read the body again. Sizes are bytes: a body over `max_body_bytes` is refused, one over `max_replay_bytes` is tried
    on one pod only, and so is any request for a path beyond the default ones: nobody says that it is safe to repeat.
    A body that would make those held in all more than `max_buffered_bytes` is refused too.
    With `isolate_tenants` engines are told in each JSON body whose cached prefixes it may share; needs AuthMiddleware.
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
        max_buffered_bytes: int = 268_435_456,
        allow_transfer_params: bool = False,
        trust_user_header: bool = True,
        isolate_tenants: bool = False,
    ) -> None:
        self.app = app
        self.registry = registry
        self.unknown = unknown
        self.paths = InferencePaths(paths)
        self.max_body_bytes = max_body_bytes
        self.max_replay_bytes = max_replay_bytes
        self.buffered = Buffered(max_buffered_bytes)
        self.allow_transfer_params = allow_transfer_params
        self.trust_user_header = trust_user_header
        self.isolate_tenants = isolate_tenants

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Resolve the model, then run the inner application."""
        if not self.paths.match(scope):
            await self.app(scope, receive, send)
            return
        reader = BodyReader(receive, self.max_body_bytes, self.buffered)
        try:
            try:
                REQUEST.put(scope, await self.read(scope, reader))
            except ClientLeft:
                OUTCOME.put(scope, CLIENT_LEFT)
                return
            except GatewayError as error:
                if self.unknown == "refuse" or not isinstance(error, UnknownModel):
                    await refuse(error, scope, receive, send)
                    return
                REQUEST.leave_empty(scope)
            await self.app(scope, reader.replay(), send)
        finally:
            reader.let_go()

    async def read(self, scope: Scope, reader: BodyReader) -> InferenceRequest:
        """The request; GatewayError where it is none that can be served, ClientLeft where nobody waits for it."""
        headers = headers_of(scope)
        if b"content-encoding" in headers and _is_compressed(scope):
            raise UnsupportedEncoding("compressed request bodies are not supported")
        length = _size(headers.get(b"content-length"))
        if length is not None and length > self.max_body_bytes:
            raise RequestTooLarge(self.max_body_bytes)
        if length is not None and length > self.buffered.room:  # better said before it is sent
            self.buffered.refuse()
        boundary = boundary_of(headers.get(b"content-type", b""))
        if boundary is not None:
            return await self._read_form(scope, reader, length, boundary)
        return self._request(scope, reader, length, parse_fields(await reader.all()))

    async def _read_form(
        self, scope: Scope, reader: BodyReader, length: int | None, boundary: bytes
    ) -> InferenceRequest:
        """Read a form up to its field `model`; the parts after it stay in `receive`."""
        form = FormModel(boundary)
        while form.model is None:
            if not reader.more:
                raise InvalidRequest("model is missing", param="model")
            form.feed(await reader.next())
        return self._request(scope, reader, length, RequestFields(form.model), form)

    def _request(
        self,
        scope: Scope,
        reader: BodyReader,
        length: int | None,
        fields: RequestFields,
        form: FormModel | None = None,
    ) -> InferenceRequest:
        if not self.allow_transfer_params:
            _check_transfer_fields(fields)
        served = self.registry.find(fields.model)
        if served is None:
            if not self.registry.complete:
                raise Unavailable("the pods are not known yet")
            raise UnknownModel(fields.model)
        path = route_path(scope)
        headers = headers_of(scope)
        tenant = KEY.require(scope).tenant if self.isolate_tenants else ""
        body = reader.body
        if tenant or served.rewrite is not None:
            body = _changed(body, served.rewrite, tenant, form)
            reader.hold(len(body))  # whoever is inside may read what came
        return InferenceRequest(
            model=served.model,
            requested_model=fields.model,
            path=path,
            body=body,
            length=length + len(body) - len(reader.body) if length is not None else None,
            fields=fields,
            headers=headers,
            user=self._user(scope, headers),
            tenant=tenant,
            more=reader.more,
            check=form.feed if form is not None else None,
            received=time.perf_counter(),
            release=reader.let_go,
            repeatable=not reader.more and len(reader.body) <= self.max_replay_bytes and path in INFERENCE_PATHS,
        )

    def _user(self, scope: Scope, headers: Mapping[bytes, bytes]) -> str | None:
        """Whom the key belongs to; where no key is asked for, whom the client says."""
        key = KEY.get(scope)
        if key is not None:
            return key.name
        user = headers.get(b"user") if self.trust_user_header else None
        return text_of(user) if user else None


def _changed(body: bytes | bytearray, name: str | None, tenant: str, form: FormModel | None) -> bytes | bytearray:
    """The body with the name that the engine knows, JSON with the tenant's salt; all other bytes are as they came."""
    if form is not None:
        return form.renamed(body, name) if name is not None else body
    edits: dict[str, bytes | None] = {}
    if name is not None:
        edits["model"] = msgspec.json.encode(name)
    if tenant:
        edits["cache_salt"] = msgspec.json.encode(cache_salt(tenant))
    try:
        return JsonObject(body).edited(edits)
    # in what has not been looked at, or is too deep for a stack that has grown since it was parsed
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequest(f"the body is not valid JSON: {error}") from None


def _is_compressed(scope: Scope) -> bool:
    """Whether any content-encoding says so: which of several an engine believes is not known."""
    return any(
        name == b"content-encoding" and value.strip().lower() not in {b"", b"identity"}
        for name, value in scope["headers"]
    )


def _check_transfer_fields(fields: RequestFields) -> None:
    name = fields.transfer_field()
    if name is not None:
        raise InvalidRequest(f"{name} is not allowed from clients", param=name)


def _size(length: bytes | None) -> int | None:
    """Value of a content-length header; not every server refuses what is no number."""
    if length is None:
        return None
    if not length.isdigit() or len(length) > _LONGEST_NUMBER:
        raise InvalidRequest("content-length is not a number")
    return int(length)
