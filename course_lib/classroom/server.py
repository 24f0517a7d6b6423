"""The room on the web: routes, cookies, limits. What they lead to is in `room` and `exchange`.

    GET  /            the phone's page            GET  /board, /teacher   pages, empty without data
    POST /join        {code} -> a cookie          POST /teacher/enter     {secret} -> a cookie
    GET  /state       what is asked, and mine     GET  /teacher/state     the board, all rounds
    PUT  /vote        {opening, item, value, rev} POST /teacher/do        {do, round, ...}
    PUT  /guess/ID    from a notebook             GET  /teacher/export/F  POST /teacher/import
    DELETE /me        forget this phone           GET  /teacher/qr.svg
    GET  /page/F, /play/F   files                 POST /teacher/practice  {do}

One process and one thread, so nothing here needs a lock. Every address in a page is relative, so
that a hub may put the room behind a path of its own.
"""

import io
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import segno
import uvicorn
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from course_lib.classroom.exchange import EXPORTS, exported, imported
from course_lib.classroom.limits import CONNECTIONS, Buckets, Impatient
from course_lib.classroom.practice import Practice
from course_lib.classroom.room import Refused, Room
from course_lib.classroom.rounds import KINDS

PACKAGE = Path(__file__).parents[1]
# What the pages are made of; the last two are shared with the notebooks' widgets.
FILES = [*sorted((PACKAGE / "classroom" / "page").iterdir())]
FILES += [PACKAGE / "widgets" / "page.css", PACKAGE / "widgets" / "page.js"]
TYPES = {".css": "text/css", ".js": "text/javascript", ".html": "text/html"}
PHONE, TEACHER = "room", "teacher"  # cookies
LARGEST, LARGEST_IMPORT = 4_000, 8_000_000  # bytes of a body
COOKIE_DAYS = 30
HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
}
# Nothing but our own files, and nothing inline: what slipped into a page as HTML would not run.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
PLAY_POLICY = "frame-ancestors 'none'"  # the play page brings a policy of its own

Handler = Callable[[Request], Awaitable[Response]]


@dataclass
class Limits:
    """How often: requests of one address and of one phone, wrong codes, and joining."""

    address: Buckets = field(default_factory=lambda: Buckets(rate=500, most=2000))
    phone: Buckets = field(default_factory=lambda: Buckets(rate=10, most=60))
    codes: Buckets = field(default_factory=lambda: Buckets(rate=0.5, most=30))
    joins: Buckets = field(default_factory=lambda: Buckets(rate=5, most=300))


class Site:
    """The routes of one room."""

    def __init__(
        self, room: Room, links: Callable[[], Sequence[str]], play: Path | None = None
    ) -> None:
        """`links` tells the addresses at which phones reach the room, the likeliest first."""
        self.room, self.links, self.play, self.limits = room, links, play, Limits()
        self.practice = Practice(room)
        self.files = {path.name: path.read_bytes() for path in FILES}

    def routes(self) -> list:
        def teacher(path: str, handler: Handler, method: str) -> Route:
            async def asked(request: Request) -> Response:
                if not self.room.is_teacher(request.cookies.get(TEACHER, "")):
                    raise Refused(403, "This is the teacher's: open the link in the terminal.")
                return await handler(request)

            return Route(f"/teacher/{path}", asked, methods=[method])

        routes = [
            Route("/", self.page("phone.html")),
            Route("/board", self.page("board.html")),
            Route("/teacher", self.page("teacher.html")),
            Route("/page/{file}", self.file),
            Route("/join", self.join, methods=["POST"]),
            Route("/state", self.state),
            Route("/vote", self.vote, methods=["PUT"]),
            Route("/guess/{about}", self.guess, methods=["PUT"]),
            Route("/me", self.forget, methods=["DELETE"]),
            Route("/teacher/enter", self.enter, methods=["POST"]),
            teacher("state", self.teachers_state, "GET"),
            teacher("catalog", self.catalog, "GET"),
            teacher("do", self.do, "POST"),
            teacher("practice", self.practise, "POST"),
            teacher("export/{file}", self.export, "GET"),
            teacher("import", self.take_in, "POST"),
            teacher("qr.svg", self.qr, "GET"),
        ]
        if self.play:
            routes.append(Mount("/play", StaticFiles(directory=self.play, html=True)))
        return routes

    # ---- Pages -----------------------------------------------------------------------------------

    def page(self, name: str) -> Handler:
        async def show(request: Request) -> Response:
            return Response(self.files[name], media_type="text/html")

        return show

    async def file(self, request: Request) -> Response:
        name = request.path_params["file"]
        if name not in self.files:
            raise Refused(404, "There is no such file.")
        return Response(self.files[name], media_type=TYPES[Path(name).suffix])

    # ---- Phones ----------------------------------------------------------------------------------

    async def join(self, request: Request) -> Response:
        """A right code gives a phone its token, once; a wrong one costs one of a few tries."""
        given, who = await _json(request), _address(request)
        if self.limits.codes.left(who) < 1:
            raise Refused(429, "Too many wrong codes: wait a minute.")
        if not self.room.is_code(given.get("code")):
            self.limits.codes.take(who)
            raise Refused(403, "That is not the code on the board.")
        try:
            self._voter(request)
        except Refused:
            if not self.limits.joins.take(who):
                raise Refused(429, "Many phones are joining: try again in a moment.") from None
            return self._with_cookie(request, PHONE, self.room.join())
        return JSONResponse({})  # it is in already

    async def state(self, request: Request) -> Response:
        told = self.room.seen_by(self._voter(request))
        return JSONResponse(told | {"play": self.play is not None})

    async def vote(self, request: Request) -> Response:
        return JSONResponse(self.room.vote(self._voter(request), await _json(request)))

    async def guess(self, request: Request) -> Response:
        voter, about = self._voter(request), request.path_params["about"]
        return JSONResponse(self.room.early(voter, about, await _json(request)))

    async def forget(self, request: Request) -> Response:
        n = self.room.store.forget(self._voter(request))
        response = JSONResponse({"deleted": n})
        response.delete_cookie(PHONE, path=_path(request))
        return response

    def _voter(self, request: Request) -> str:
        voter = self.room.voter(request.cookies.get(PHONE, ""))
        if not self.limits.phone.take(voter):
            raise Refused(429, "Slow down: too many requests from this phone.")
        return voter

    def _with_cookie(self, request: Request, name: str, value: str) -> Response:
        """No script can read it, and no page of another site can have it sent."""
        response = JSONResponse({})
        # a hub has the https, and speaks plain http with us
        secure = "https" in (request.url.scheme, request.headers.get("x-forwarded-proto"))
        more = dict(path=_path(request), httponly=True, samesite="strict", secure=secure)
        response.set_cookie(name, value, max_age=COOKIE_DAYS * 86_400, **more)
        return response

    # ---- The teacher -----------------------------------------------------------------------------

    async def enter(self, request: Request) -> Response:
        given, who = await _json(request), _address(request)
        secret = given.get("secret")
        if not self.limits.codes.take(f"secret {who}"):
            raise Refused(429, "Too many tries: wait a minute.")
        if not isinstance(secret, str) or not self.room.is_teacher(secret):
            raise Refused(403, "That secret opens nothing: take the link from the terminal.")
        return self._with_cookie(request, TEACHER, secret)

    async def teachers_state(self, request: Request) -> Response:
        told = self.room.board() | {"rounds": self.room.rounds(), "links": list(self.links())}
        return JSONResponse(told | {"practising": self.practice.told()})

    async def catalog(self, request: Request) -> Response:
        """All that can be asked, for the teacher's menus."""
        material = self.room.material
        guesses = [[q.id, q.notebook, q.kind, q.ask] for q in material.guesses.values()]
        told = {"kinds": KINDS, "guesses": guesses, "words": list(material.words)}
        return JSONResponse(told | {"pairs": len(material.pairs), "plans": material.plans})

    async def do(self, request: Request) -> Response:
        return JSONResponse(self.room.do(await _json(request, 50_000)))

    async def practise(self, request: Request) -> Response:
        self.practice.do((await _json(request)).get("do"))
        return JSONResponse({})

    async def export(self, request: Request) -> Response:
        name = request.path_params["file"]
        if name not in EXPORTS:
            raise Refused(404, f"There are {', '.join(EXPORTS)}.")
        headers = {"content-disposition": f'attachment; filename="{name}"'}
        media = "text/csv" if name.endswith(".csv") else "application/jsonl"
        return Response(exported(self.room, name), media_type=media, headers=headers)

    async def take_in(self, request: Request) -> Response:
        body = await _body(request, LARGEST_IMPORT)
        try:
            return JSONResponse(imported(self.room, body))
        except ValueError as error:
            raise Refused(400, str(error)) from error

    async def qr(self, request: Request) -> Response:
        """The QR code of the likeliest address, with the join code in it."""
        picture = io.BytesIO()
        code = segno.make(f"{self.links()[0]}#{self.room.code}", error="m", micro=False)
        code.save(picture, kind="svg", scale=8, border=4, dark="#000", light="#fff", xmldecl=False)
        return Response(picture.getvalue(), media_type="image/svg+xml")


def app(site: Site, prefix: str = "") -> Callable:
    """The room as an ASGI application, with headers and limits around it."""

    async def told(request: Request, error: Exception) -> Response:
        close = {"connection": "close"} if error.status in (408, 413) else None
        return JSONResponse({"error": str(error)}, status_code=error.status, headers=close)

    async def gone(request: Request, error: Exception) -> Response:
        return Response(status_code=400)  # nobody reads it

    handlers = {Refused: told, ClientDisconnect: gone}
    inner = Starlette(routes=site.routes(), exception_handlers=handlers)
    inner.router.redirect_slashes = False

    async def around(scope: dict, receive: Callable, send: Callable) -> None:
        if scope["type"] != "http":
            return await inner(scope, receive, send) if scope["type"] == "lifespan" else None
        path = scope["path"]
        if prefix and path.startswith(f"{prefix}/"):  # some proxies leave it there, some don't
            path = path[len(prefix) :]
        scope = {**scope, "path": path, "raw_path": path.encode(), "root_path": ""}
        scope["prefix"] = prefix

        async def with_headers(message: dict) -> None:
            if message["type"] == "http.response.start":
                policy = PLAY_POLICY if path.startswith("/play/") else POLICY
                more = HEADERS | {"content-security-policy": policy}
                if not path.startswith("/play/"):
                    more["cache-control"] = "no-store"
                own = [(name.encode(), value.encode()) for name, value in more.items()]
                message = {**message, "headers": [*message["headers"], *own]}
            await send(message)

        client = scope["client"][0] if scope["client"] else ""
        if not site.limits.address.take(_network(client)):
            busy = JSONResponse({"error": "Too many requests: slow down."}, status_code=429)
            return await busy(scope, receive, with_headers)
        await inner(scope, receive, with_headers)

    return around


def web_server(site: Site, prefix: str = "") -> uvicorn.Server:
    """The server; `serve` it on open sockets, and it answers until somebody stops it."""
    config = uvicorn.Config(
        app(site, prefix),
        http=Impatient,
        ws="none",
        log_config=None,
        log_level="error",
        access_log=False,  # it would write down who came from where
        server_header=False,
        proxy_headers=False,
        limit_concurrency=CONNECTIONS,
        timeout_keep_alive=15,
        timeout_graceful_shutdown=2,
        h11_max_incomplete_event_size=16_384,
    )
    return uvicorn.Server(config)


def prefix_of(link: str) -> str:
    """The path of an address, without the slash at its end: what a hub puts before ours."""
    return urlsplit(link).path.rstrip("/")


async def _body(request: Request, most: int) -> bytes:
    """The body; an address that sends a larger one is told so before it has sent it all."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > most:
            raise Refused(413, f"That is too much: {most:,} bytes at most.")
    return body


async def _json(request: Request, most: int = LARGEST) -> dict:
    if not request.headers.get("content-type", "").startswith("application/json"):
        raise Refused(415, "Send JSON, with the content type application/json.")
    body = await _body(request, most)
    try:
        value = json.loads(body)
        json.dumps(value, ensure_ascii=False).encode()  # half an emoji is JSON, and no text
    except (ValueError, RecursionError) as error:
        raise Refused(400, "That is not JSON.") from error
    if not isinstance(value, dict):
        raise Refused(400, "Expected a JSON object.")
    return value


def _path(request: Request) -> str:
    return f"{request.scope['prefix']}/"


def _address(request: Request) -> str:
    return _network(request.client.host if request.client else "")


def _network(address: str) -> str:
    """An address as the limits count it: of IPv6 the first half, one machine has all the rest."""
    return ":".join(address.split(":")[:4]) if address.count(":") > 3 else address
