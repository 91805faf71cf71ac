"""HTTP transport to the Bot API over aiohttp. Its errors say whether the server may have acted on a call."""

from __future__ import annotations

import io
from typing import Any

import aiohttp
import msgspec
from aiohttp.helpers import get_env_proxy_for_url
from telegram import TelegramObject
from telegram.error import TimedOut
from telegram.request import BaseRequest, RequestData
from yarl import URL

Proxy = tuple[URL | None, aiohttp.BasicAuth | None]
JSON_HEADERS = {"Content-Type": "application/json"}
DEFAULT = BaseRequest.DEFAULT_NONE


class NeverSent(TimedOut):
    """No connection could be opened, so the server did not receive the call."""


class NeverAnswered(TimedOut):
    """The call was sent, in part or whole, without an answer. The server may have acted on it."""


class AiohttpRequest(BaseRequest):
    """python-telegram-bot's request interface over aiohttp.

    `media_timeout` replaces `read_timeout` for calls that upload a file, which take longer.
    """

    def __init__(
        self,
        *,
        connections: int = 64,
        connect_timeout: float = 10.0,
        read_timeout: float = 20.0,
        media_timeout: float = 180.0,
    ) -> None:
        self._connections = connections
        self._connect_timeout = connect_timeout
        self._read_timeout = read_timeout
        self._media_timeout = media_timeout
        self._session: aiohttp.ClientSession | None = None
        self._proxies: dict[str, Proxy] = {}

    @property
    def read_timeout(self) -> float:
        return self._read_timeout

    async def initialize(self) -> None:
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=self._connections, keepalive_timeout=30)
            headers = {"User-Agent": self.USER_AGENT}
            self._session = aiohttp.ClientSession(
                connector=connector, headers=headers, cookie_jar=aiohttp.DummyCookieJar()
            )

    async def shutdown(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def do_request(
        self,
        url: str,
        method: str,
        request_data: RequestData | None = None,
        read_timeout: object = DEFAULT,
        write_timeout: object = DEFAULT,
        connect_timeout: object = DEFAULT,
        pool_timeout: object = DEFAULT,  # noqa: ARG002  (aiohttp's connect timeout includes the wait for the pool)
    ) -> tuple[int, bytes]:
        if self._session is None:
            raise RuntimeError("the transport is not initialised")
        media = request_data is not None and request_data.contains_files
        connect = _timeout_or_default(connect_timeout, self._connect_timeout)
        read = _timeout_or_default(read_timeout, self._media_timeout if media else self._read_timeout)
        write = _timeout_or_default(write_timeout, self._media_timeout if media else self._read_timeout)
        timeout = aiohttp.ClientTimeout(total=connect + write + read, connect=connect, sock_read=read)
        body = (
            _multipart_body(request_data) if media and request_data is not None else _json_body(request_data)
        )
        headers = None if media or body is None else JSON_HEADERS
        proxy, proxy_auth = self._proxy_to(url)
        try:
            async with self._session.request(
                method,
                url,
                data=body,
                headers=headers,
                timeout=timeout,
                allow_redirects=False,
                proxy=proxy,
                proxy_auth=proxy_auth,
            ) as response:
                return response.status, await response.read()
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise NeverSent(f"no connection: {type(error).__name__}") from error
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise NeverAnswered(f"no answer: {type(error).__name__}") from error

    @staticmethod
    def parse_json_payload(payload: bytes) -> dict[str, Any]:
        try:
            decoded: dict[str, Any] = msgspec.json.decode(payload)
        except msgspec.DecodeError:
            return BaseRequest.parse_json_payload(payload)
        return decoded

    def _proxy_to(self, url: str) -> Proxy:
        """The proxy that the environment sets, cached per host.

        With `trust_env` aiohttp would look it up in a thread for every call.
        """
        address = URL(url)
        if address.authority not in self._proxies:
            try:
                self._proxies[address.authority] = get_env_proxy_for_url(address)
            except LookupError:
                self._proxies[address.authority] = (None, None)
        return self._proxies[address.authority]


def _timeout_or_default(timeout: object, default: float) -> float:
    """`timeout` in seconds, or `default` where it is None or the library's placeholder."""
    return timeout if isinstance(timeout, int | float) else default


def _json_body(data: RequestData | None) -> bytes | None:
    """The parameters as JSON, which is encoded and parsed about ten times faster than a form."""
    parameters = data.parameters if data is not None else None
    return msgspec.json.encode(parameters, enc_hook=TelegramObject.to_dict) if parameters else None


def _multipart_body(data: RequestData) -> aiohttp.FormData:
    form = aiohttp.FormData(data.json_parameters)
    for name, (filename, content, kind) in data.multipart_data.items():
        value: Any = io.BytesIO(content) if isinstance(content, bytes) else content
        form.add_field(name, value, filename=filename, content_type=kind)
    return form
