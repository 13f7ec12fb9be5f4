"""The page: files that lie in `dashboard/`, read once, served from memory with their tags.

Only names found at start are served, so no path can lead anywhere else (A22). The policy allows
nothing but this origin, and no inline script or style (A30).
Source: API-102.
"""

import gzip
import hashlib
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable

from fastapi import FastAPI, Request
from starlette.responses import Response

from millrace.serve.answers import has_tag, tagged
from millrace.serve.parameters import NoQuery
from millrace.serve.problems import Problem
from millrace.serve.room import Here
from millrace.serve.routes.system import version_body

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "mjs": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
_TEXT = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Asset:
    """One file, as it is and compressed."""

    plain: bytes
    packed: bytes
    tag: str
    media_type: str


def load_assets() -> dict[str, Asset]:
    """Return the files of the page by their path below `dashboard/`."""
    found: dict[str, Asset] = {}
    _collect(files("millrace.serve") / "dashboard", "", found)
    return found


def _collect(folder: Traversable, prefix: str, found: dict[str, Asset]) -> None:
    for one in folder.iterdir():
        if one.is_dir():
            _collect(one, f"{prefix}{one.name}/", found)
            continue
        plain = one.read_bytes()
        tag = f'"{hashlib.blake2b(plain, digest_size=12).hexdigest()}"'
        media_type = _TYPES.get(one.name.rpartition(".")[2], _TEXT)
        found[prefix + one.name] = Asset(plain, gzip.compress(plain, mtime=0), tag, media_type)


def add_page(app: FastAPI) -> None:
    """Serve the page at `/` and its files below `/assets/`."""
    assets = load_assets()

    async def home(request: Request, here: Here, _: NoQuery) -> Response:
        accepted = request.headers.get("accept", "")
        if "application/json" in accepted and "text/html" not in accepted:
            message = "Millrace is running; a browser finds the dashboard here"
            return tagged(request, {**version_body(here), "message": message})
        return asset_response(request, assets["index.html"])

    async def asset(name: str, request: Request, _: NoQuery) -> Response:
        if name not in assets:
            raise Problem("not_found", "Not found")
        return asset_response(request, assets[name])

    for path, handler in (("/", home), ("/assets/{name:path}", asset)):
        app.add_api_route(path, handler, methods=["GET"], include_in_schema=False)


def asset_response(request: Request, asset: Asset) -> Response:
    """Return a file, packed when the browser takes that, or 304 when it has it."""
    headers = {
        "ETag": f"W/{asset.tag}",
        "Cache-Control": "no-cache",
        "Content-Security-Policy": POLICY,
        "Vary": "Accept, Accept-Encoding",
    }
    if has_tag(request, asset.tag):
        return Response(status_code=304, headers=headers)
    if "gzip" in request.headers.get("accept-encoding", ""):
        headers["Content-Encoding"] = "gzip"
        return Response(asset.packed, headers=headers, media_type=asset.media_type)
    return Response(asset.plain, headers=headers, media_type=asset.media_type)
