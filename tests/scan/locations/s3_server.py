"""A server on the loopback that speaks as much of S3 as a scan asks: list, HEAD, GET of a range."""

import re
import urllib.parse
from bisect import bisect_right
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from xml.sax.saxutils import escape

MAX_KEYS = 3
"""Keys of one answer, so that a prefix has several pages."""


class S3Server(ThreadingHTTPServer):
    """Serve ``objects``, by ``bucket/key``; while ``is_busy``, refuse and count requests."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.objects: dict[str, bytes] = {}
        self.is_busy = False
        self.requests = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: S3Server
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.server.requests += 1
        url = urllib.parse.urlsplit(self.path)
        bucket, _, key = urllib.parse.unquote(url.path).lstrip("/").partition("/")
        if self.server.is_busy:
            self.reply(503, b"")
        elif not any(name.startswith(f"{bucket}/") for name in self.server.objects):
            self.reply(404, b"<Error><Code>NoSuchBucket</Code></Error>")
        elif key:
            self.reply_object(self.server.objects.get(f"{bucket}/{key}"))
        else:
            self.reply_list(f"{bucket}/", dict(urllib.parse.parse_qsl(url.query)))

    do_HEAD = do_GET  # noqa: N815 - the name that the base class calls

    def reply_object(self, data: bytes | None) -> None:
        if data is None:
            self.reply(404, b"<Error><Code>NoSuchKey</Code></Error>")
        elif asked := re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", "")):
            first, last = int(asked[1]), min(int(asked[2]), len(data) - 1)
            if first > last:
                self.reply(416, b"<Error><Code>InvalidRange</Code></Error>")
            else:
                place = f"bytes {first}-{last}/{len(data)}"
                self.reply(206, data[first : last + 1], **{"Content-Range": place})
        else:
            self.reply(200, data)

    def reply_list(self, bucket: str, query: dict[str, str]) -> None:
        names = sorted(name.removeprefix(bucket) for name in self.server.objects)
        keys = [key for key in names if key.startswith(query.get("prefix", ""))]
        start = bisect_right(keys, query.get("continuation-token", ""))
        page = keys[start : start + MAX_KEYS]
        cut = start + MAX_KEYS < len(keys)
        entries = "".join(
            f"<Contents><Key>{escape(urllib.parse.quote(key))}</Key>"
            f"<LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>0</ETag>"
            f"<Size>{len(self.server.objects[bucket + key])}</Size></Contents>"
            for key in page
        )
        token = f"<NextContinuationToken>{escape(page[-1])}</NextContinuationToken>" if cut else ""
        xml = (
            f"<ListBucketResult><EncodingType>url</EncodingType>{entries}"
            f"<IsTruncated>{str(cut).lower()}</IsTruncated>{token}</ListBucketResult>"
        )
        self.reply(200, xml.encode())

    def reply(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.send_header("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...
