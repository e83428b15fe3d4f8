"""A registry of images with what a test puts there, for engines on this machine. It takes no pushes."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
_CONFIG = "application/vnd.docker.container.image.v1+json"
_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"


class Registry:
    """Serves images over HTTP, which engines accept from 127.0.0.1."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}  # by digest
        self.manifests: dict[str, bytes] = {}  # by name
        self.forbidden: set[str] = set()  # names that only others may have
        self.asked: list[str] = []  # the names of the images that were asked for
        registry = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                registry.answer(self)

            do_HEAD = do_GET

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def name(self, image: str) -> str:
        """Return what an engine calls an image of this registry."""
        return f"127.0.0.1:{self._server.server_address[1]}/{image}:1"

    def put(self, image: str, saved: bytes) -> None:
        """Add an image, as an engine saves it."""
        with tarfile.open(fileobj=io.BytesIO(saved)) as archive:

            def content(path: str) -> bytes:
                member = archive.extractfile(path)
                assert member is not None
                return member.read()

            (described,) = json.loads(content("manifest.json"))
            config = self._put_blob(_CONFIG, content(described["Config"]))
            layers = [self._put_blob(_LAYER, content(each)) for each in described["Layers"]]
        manifest = {
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "config": config,
            "layers": layers,
        }
        self.manifests[image] = json.dumps(manifest).encode()

    def _put_blob(self, kind: str, content: bytes) -> dict[str, Any]:
        digest = _digest(content)
        self.blobs[digest] = content
        return {"mediaType": kind, "size": len(content), "digest": digest}

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        match request.path.strip("/").split("/"):
            case ["v2"]:
                self._send(request, 200, b"{}", "application/json")
            case ["v2", *name, "manifests", _]:
                image = "/".join(name)
                if request.command == "HEAD" or image not in self.asked:
                    self.asked.append(image)
                found = self.manifests.get(image)
                if image in self.forbidden:
                    self._refuse(request, 403, "DENIED", "requested access is denied")
                elif found is None:
                    self._refuse(request, 404, "MANIFEST_UNKNOWN", "manifest unknown")
                else:
                    self._send(request, 200, found, _MANIFEST)
            case ["v2", *_, "blobs", digest] if digest in self.blobs:
                self._send(request, 200, self.blobs[digest], "application/octet-stream")
            case _:
                self._refuse(request, 404, "NOT_FOUND", "there is no such thing")

    def _refuse(
        self, request: BaseHTTPRequestHandler, status: int, code: str, message: str
    ) -> None:
        errors = {"errors": [{"code": code, "message": message}]}
        self._send(request, status, json.dumps(errors).encode(), "application/json")

    def _send(
        self, request: BaseHTTPRequestHandler, status: int, content: bytes, kind: str
    ) -> None:
        request.send_response(status)
        request.send_header("Content-Type", kind)
        request.send_header("Content-Length", str(len(content)))
        request.send_header("Docker-Distribution-Api-Version", "registry/2.0")
        request.send_header("Docker-Content-Digest", _digest(content))
        request.end_headers()
        if request.command != "HEAD":
            request.wfile.write(content)


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
