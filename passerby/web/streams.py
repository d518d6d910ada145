"""The server's streams for those who watch: newest moments, their pictures, and what may be set."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Annotated, Any

import cv2
import numpy as np
from fastapi import APIRouter, Query, Response
from starlette.concurrency import run_in_threadpool

from passerby.errors import SettingError, did_you_mean
from passerby.live.hub import Hub
from passerby.live.pool import Models
from passerby.live.scene import Scene
from passerby.live.stream import Moment, Stream
from passerby.media.draw import draw
from passerby.records import Pixels
from passerby.web.answers import Refused, heat_json, json_answer
from passerby.web.schema import JPEG, MomentFacts, StreamChange, StreamFacts, StreamSettings, refusals

WIDTH = 960  # pixels, at most, of the pictures that sockets send
QUALITY = 80  # of their JPEG
Drawn = Annotated[bool, Query(description="1: with boxes drawn")]


class Viewers:
    """Those who watch one stream: each is woken by its next moment, and one JPEG serves them all."""

    def __init__(self, stream: Stream, threads: ThreadPoolExecutor) -> None:
        self.stream = stream
        self._threads = threads
        self._lock = threading.Lock()
        self._moment: Moment | None = None
        self._waiting: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []
        self._made: tuple[int, asyncio.AbstractEventLoop, asyncio.Future[bytes]] | None = None
        stream.listen(self._tell)

    async def next(self, after: int, timeout: float) -> Moment | None:
        """The newest moment whose number is over `after`; None when there is none within `timeout` seconds."""
        loop, news = asyncio.get_running_loop(), asyncio.Event()
        with self._lock:
            moment = self._moment
            if moment is None or moment.number <= after:
                self._waiting.append((loop, news))
        if moment is None or moment.number <= after:
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout):
                    await news.wait()
            with self._lock:
                moment = self._moment
                self._waiting = [w for w in self._waiting if w[1] is not news]
        return moment if moment is not None and moment.number > after else None

    async def jpeg(self, moment: Moment) -> bytes:
        """The moment's frame, at most WIDTH pixels wide, made once for all who want it now."""
        loop = asyncio.get_running_loop()
        if self._made is None or self._made[:2] != (moment.number, loop):
            made = loop.run_in_executor(self._threads, to_jpeg, moment.frame.pixels, WIDTH)
            self._made = moment.number, loop, made
        return await asyncio.shield(self._made[2])

    def _tell(self, moment: Moment) -> None:
        with self._lock:
            self._moment, waiting, self._waiting = moment, self._waiting, []
        for loop, news in waiting:
            with suppress(RuntimeError):  # its server is gone
                loop.call_soon_threadsafe(news.set)


class Watched:
    """All streams of the hub with their viewers."""

    def __init__(self, hub: Hub, models: Models) -> None:
        self.hub, self.models = hub, models
        self._threads = ThreadPoolExecutor(2, "viewers")
        self._viewers = {name: Viewers(stream, self._threads) for name, stream in hub.streams.items()}

    def viewers(self, name: str) -> Viewers:
        """Those of a stream. Raises Refused, 404, for one that is not listed."""
        if name not in self._viewers:
            raise Refused(404, f"no stream '{name[:60]}'{did_you_mean(name[:60], self._viewers)}")
        return self._viewers[name]

    def stream(self, name: str) -> Stream:
        """A stream by name. Raises Refused, 404."""
        return self.viewers(name).stream

    def moment(self, name: str) -> Moment:
        """The newest moment. Raises Refused, 404, and 503 before the first."""
        moment = self.stream(name).latest()
        if moment is None:
            raise Refused(503, f"stream '{name}' has given no frame yet; try again later", {"Retry-After": "1"})
        return moment

    def states(self) -> dict[str, str]:
        """How each source is."""
        return {name: state_of(stream) for name, stream in self.hub.streams.items()}

    def model_of(self, stream: Stream) -> str:
        """The public name of the model that looks at a stream."""
        return self.models.name_of(stream.pool) or stream.pool.spec.name

    def settings(self, stream: Stream) -> dict[str, Any]:
        """What holds for a stream."""
        row: dict[str, Any] = {"threshold": stream.threshold, "model": self.model_of(stream)}
        return {**row, "scene": stream.scene.to_dict(), "heat": stream.heat}

    def change(self, name: str, change: StreamChange) -> dict[str, Any]:
        """Set what is said of a stream, all of it or nothing; what now holds. Blocks while a model is loaded."""
        stream = self.stream(name)
        scene = None if change.scene is None else Scene.from_dict(change.scene)
        pool = None if change.model is None else self.models.pool(change.model)
        if pool is not None:
            stream.pool = pool
        if change.threshold is not None:
            stream.threshold = change.threshold
        if scene is not None:
            stream.scene = scene
        if change.heat is not None:
            stream.heat = change.heat
        return self.settings(stream)

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def stream_routes(watched: Watched) -> APIRouter:
    """GET /streams and what lies below it."""
    router = APIRouter(tags=["streams"])

    @router.get("/streams", response_model=list[StreamFacts], responses=refusals())
    async def streams() -> Response:
        """How each stream is."""
        return json_answer([_facts(watched, s) for s in watched.hub.streams.values()])

    @router.get("/streams/{name}", response_model=MomentFacts, responses=refusals(404, 503))
    async def newest(name: str) -> Response:
        """The newest frame's detections, identities and counts."""
        return json_answer(moment_json(watched.moment(name)))

    @router.put("/streams/{name}", response_model=StreamSettings, responses=refusals(404, 408, 413, 422, 503))
    async def change(name: str, change: StreamChange) -> Response:
        """Set the threshold, the model, lines and zones, while the stream runs."""
        return json_answer(await run_in_threadpool(watched.change, name, change))

    @router.get("/streams/{name}/scene", response_model=dict[str, Any], responses=refusals(404))
    async def scene(name: str) -> Response:
        """Lines and zones."""
        return json_answer(watched.stream(name).scene.to_dict())

    @router.get("/streams/{name}/picture", response_class=Response, responses={**refusals(404, 422, 503), **JPEG})
    async def picture(name: str, drawn: Drawn = False) -> Response:
        """The newest frame as JPEG."""
        moment = watched.moment(name)

        def made() -> bytes:
            pixels = moment.frame.pixels
            return to_jpeg(draw(pixels, moment.seen.found) if drawn else pixels)

        return Response(await run_in_threadpool(made), media_type="image/jpeg")

    return router


def state_of(stream: Stream) -> str:
    """Of its source; "ended" where no more moments will come, whatever the reason."""
    return "ended" if stream.ended else stream.status().state


def moment_json(moment: Moment) -> dict[str, Any]:
    """A moment for JSON, with its heat map where it has one."""
    row = moment.to_dict()
    if moment.heat is not None:
        row["heat"] = heat_json(moment.heat)
    return row


def to_jpeg(pixels: Pixels, width: int = 0) -> bytes:
    """RGB pixels as JPEG, shrunk to `width` pixels where they are wider; 0: as they are."""
    if width and pixels.shape[1] > width:
        height = max(1, round(pixels.shape[0] * width / pixels.shape[1]))
        pixels = np.asarray(cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
    done, data = cv2.imencode(".jpg", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    if not done:
        raise SettingError(f"a frame of {pixels.shape[1]} x {pixels.shape[0]} pixels is no JPEG")
    return data.tobytes()


def _facts(watched: Watched, stream: Stream) -> dict[str, Any]:
    moment = stream.latest()
    return {
        "name": stream.name,
        "state": state_of(stream),
        "rate": round(stream.rate(), 2),
        "delay": None if moment is None else round(moment.delay, 4),
        "people": 0 if moment is None else moment.seen.people,
        "threshold": stream.threshold,
        "model": watched.model_of(stream),
        "width": None if moment is None else moment.frame.width,
        "height": None if moment is None else moment.frame.height,
    }
