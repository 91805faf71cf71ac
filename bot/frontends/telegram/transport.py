"""How calls travel to the Bot API: aiohttp, with errors that say whether a call can have been acted on."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import aiohttp
import msgspec
from aiohttp.helpers import get_env_proxy_for_url
from telegram import TelegramObject
from telegram._utils.defaultvalue import DefaultValue
from telegram.error import TimedOut
from telegram.request import BaseRequest, RequestData
from yarl import URL

if TYPE_CHECKING:
    from telegram._utils.types import ODVInput

Proxy = tuple[URL | None, aiohttp.BasicAuth | None]
JSON_HEADERS = {"Content-Type": "application/json"}
DEFAULT = BaseRequest.DEFAULT_NONE


class NeverSent(TimedOut):
    """No connection came about: the server knows nothing of the call."""


class NeverAnswered(TimedOut):
    """The call left, in part or whole, and no answer came: perhaps it was acted on."""


class AiohttpRequest(BaseRequest):
    """`media_seconds` is for calls that carry a file, which a server may take long to swallow."""

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
        read_timeout: ODVInput[float] = DEFAULT,
        write_timeout: ODVInput[float] = DEFAULT,
        connect_timeout: ODVInput[float] = DEFAULT,
        pool_timeout: ODVInput[float] = DEFAULT,  # noqa: ARG002  (aiohttp counts waiting for the pool as connecting)
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
            found: dict[str, Any] = msgspec.json.decode(payload)
        except msgspec.DecodeError:
            return BaseRequest.parse_json_payload(payload)
        return found

    def _proxy_to(self, url: str) -> Proxy:
        """The environment's, looked up once an address; the session would ask in a thread for each call."""
        address = URL(url)
        if address.authority not in self._proxies:
            try:
                self._proxies[address.authority] = get_env_proxy_for_url(address)
            except LookupError:
                self._proxies[address.authority] = (None, None)
        return self._proxies[address.authority]


def _timeout_or_default(timeout: ODVInput[float], default: float) -> float:
    return default if timeout is None or isinstance(timeout, DefaultValue) else timeout


def _json_body(data: RequestData | None) -> bytes | None:
    """JSON, which is made and read in a tenth of a form's time."""
    parameters = data.parameters if data is not None else None
    return msgspec.json.encode(parameters, enc_hook=TelegramObject.to_dict) if parameters else None


def _multipart_body(data: RequestData) -> aiohttp.FormData:
    form = aiohttp.FormData(data.json_parameters)
    for name, (filename, content, kind) in data.multipart_data.items():
        value: Any = io.BytesIO(content) if isinstance(content, bytes) else content
        form.add_field(name, value, filename=filename, content_type=kind)
    return form
