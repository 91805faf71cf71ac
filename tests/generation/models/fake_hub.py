"""A fake hub on localhost: enough for the real client to list a repository and download its files."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = "0" * 39 + "7"


class FakeHub:
    def __init__(self) -> None:
        self.files: dict[str, dict[str, bytes]] = {}
        self.gated: set[str] = set()
        self.served_files: list[str] = []
        self.disconnect_after: int | None = None  # close the connection once after this many bytes of a file
        self.url = ""
        self.reported_sizes: dict[str, int] = {}  # sizes to report instead of the real ones


@contextmanager
def running_hub() -> Iterator[FakeHub]:
    hub = FakeHub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"hub": hub}))
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield hub
    server.shutdown()
    server.server_close()
    thread.join()


class Handler(BaseHTTPRequestHandler):
    hub: FakeHub

    def log_message(self, *_: object) -> None: ...

    def do_HEAD(self) -> None:
        self._handle(body=False)

    def do_GET(self) -> None:
        self._handle(body=True)

    def _handle(self, *, body: bool) -> None:
        path = self.path.split("?")[0].strip("/").split("/")
        repo = "/".join(path[2:4] if path[0] == "api" else path[:2])
        if repo not in self.hub.files:
            self._send_error(404, "RepoNotFound")
        elif "revision" in path and path[-1] not in {"main", COMMIT}:
            self._send_error(404, "RevisionNotFound")
        elif path[0] == "api":
            self._send(json.dumps(self._model_info(repo)).encode(), {"Content-Type": "application/json"})
        elif repo in self.hub.gated:
            self._send_error(403, "GatedRepo")
        else:
            self._send_file(repo, "/".join(path[4:]), body=body)

    def _model_info(self, repo: str) -> dict[str, object]:
        siblings = [
            {"rfilename": name, "size": self.hub.reported_sizes.get(name, len(data))}
            for name, data in self.hub.files[repo].items()
        ]
        return {"id": repo, "modelId": repo, "sha": COMMIT, "private": False, "siblings": siblings}

    def _send_file(self, repo: str, name: str, *, body: bool) -> None:
        data = self.hub.files[repo][name]
        start = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").split("-")[0])
        tag = hashlib.sha256(data).hexdigest()
        self.send_response(206 if start else 200)
        self.send_header("ETag", f'"{tag}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("Content-Length", str(len(data) - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.end_headers()
        if not body:
            return
        self.hub.served_files.append(f"{name}@{start}")
        if self.hub.disconnect_after is not None and len(data) > self.hub.disconnect_after:
            self.wfile.write(data[start : self.hub.disconnect_after])
            self.hub.disconnect_after = None
            self.close_connection = True
            return
        self.wfile.write(data[start:])

    def _send_error(self, status: int, code: str) -> None:
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _send(self, data: bytes, headers: dict[str, str]) -> None:
        self.send_response(200)
        for name, value in {**headers, "Content-Length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)
