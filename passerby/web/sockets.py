"""WebSockets: a browser's own pictures looked at, followed and counted; and the server's streams as they come."""

from __future__ import annotations

import asyncio
import json
import math
import struct
import time
from contextlib import suppress
from functools import partial
from typing import Any

import numpy as np
from fastapi import APIRouter, WebSocket, WebSocketDisconnect
from starlette.exceptions import HTTPException

from passerby.errors import PasserbyError, SettingError, did_you_mean
from passerby.live.pool import Models
from passerby.live.scene import Scene
from passerby.live.watch import LOW, Watcher
from passerby.records import Detections, Floats
from passerby.spec import ModelSpec
from passerby.web.answers import heat_json, refusal, to_json
from passerby.web.limits import Limits
from passerby.web.rates import Bucket, Places, client_of
from passerby.web.streams import Viewers, Watched, moment_json
from passerby.web.uploads import Uploads, picture_of

SETTABLE = ("model", "threshold", "scene", "heat")
SIDE = 20_000  # pixels, at most, of a picture of which a browser sends boxes


class Camera:
    """What one browser's pictures are looked at with, and what was seen in them. Not for several threads at once."""

    def __init__(self, models: Models, limits: Limits) -> None:
        self.models, self.limits = models, limits
        self.model = models.names[0]
        self.heat = False
        self.watcher = Watcher(Scene(), models.spec(self.model).threshold)

    def settings(self) -> dict[str, Any]:
        """What holds."""
        scene = self.watcher.scene.to_dict()
        return {"set": {"model": self.model, "threshold": self.watcher.threshold, "scene": scene, "heat": self.heat}}

    def set(self, wanted: Any) -> dict[str, Any]:
        """Set model, threshold, scene and heat, any of them, all or nothing. Raises SettingError."""
        if not isinstance(wanted, dict):
            raise SettingError(f"set: want an object with {', '.join(SETTABLE)}")
        if unknown := sorted(set(wanted) - set(SETTABLE)):
            raise SettingError(f"set: no field '{unknown[0][:60]}'{did_you_mean(unknown[0][:60], SETTABLE)}")
        scene = Scene.from_dict(wanted["scene"]) if "scene" in wanted else None
        heat = wanted.get("heat", self.heat)
        if not isinstance(heat, bool):
            raise SettingError("set: heat: want true or false")
        model = wanted.get("model", self.model)
        if not isinstance(model, str):
            raise SettingError("set: model: want a name")
        own = self.models.spec(model).threshold
        kept = self.watcher.threshold if model == self.model else own
        threshold = _number(wanted.get("threshold", kept), "set: threshold", 0, 1)
        if model != self.model:
            self.watcher.begin_anew()
        self.model, self.heat, self.watcher.threshold = model, heat, threshold
        if scene is not None:
            self.watcher.scene = scene
        return self.settings()

    def look(self, message: bytes) -> dict[str, Any]:
        """Look at a picture: 8 bytes of time (float64, little-endian, seconds), then a picture file. Blocks."""
        if len(message) <= 8:
            raise SettingError("a picture: want 8 bytes of time (float64, little-endian, seconds) and then a JPEG")
        moment = _number(struct.unpack("<d", message[:8])[0], "a picture's time", -1e12, 1e12)
        begun = time.perf_counter()
        pixels = picture_of(message[8:], self.limits.pixels)
        pool, low, heat = self.models.pool(self.model), min(LOW, self.watcher.threshold), None
        if self.heat:
            found, heat = pool.look(pixels, low, self.limits.wait)
        else:
            found = pool.detect(pixels, low, self.limits.wait)
        size = (int(pixels.shape[1]), int(pixels.shape[0]))
        return self._told(found, moment, size, time.perf_counter() - begun, heat)

    def follow(self, raw: Any) -> dict[str, Any]:
        """Follow and count boxes that were found elsewhere. Raises SettingError for what is no list of boxes."""
        if not isinstance(raw, dict):
            raise SettingError("boxes: want an object of time, width, height and detections")
        moment = _number(raw.get("time"), "boxes: time", -1e12, 1e12)
        width, height = (int(_number(raw.get(k), f"boxes: {k}", 1, SIDE)) for k in ("width", "height"))
        begun = time.perf_counter()
        found = read_boxes(raw.get("detections"), self.models.spec(self.model), width, height)
        return self._told(found, moment, (width, height), time.perf_counter() - begun, None)

    def _told(
        self, found: Detections, moment: float, size: tuple[int, int], seconds: float, heat: Floats | None
    ) -> dict[str, Any]:
        seen = self.watcher.see(found, moment, *size)
        row = {"time": moment, "width": size[0], "height": size[1], "model": self.model}
        row |= {"ms": round(1000 * seconds, 2), **seen.to_dict()}
        return row if heat is None else {**row, "heat": heat_json(heat)}


def read_boxes(raw: Any, spec: ModelSpec, width: int, height: int) -> Detections:
    """Detections of plain Python, as `Detections.to_list` makes it. Raises SettingError naming the wrong one."""
    if not isinstance(raw, list) or len(raw) > spec.max_detections:
        raise SettingError(f"boxes: detections: want a list of at most {spec.max_detections}")
    boxes, scores, labels = np.zeros((len(raw), 4), np.float32), np.zeros(len(raw), np.float32), []
    for k, row in enumerate(raw):
        where = f"boxes: detection {k}"
        box = row.get("box") if isinstance(row, dict) else None
        if not isinstance(box, list) or len(box) != 4:
            raise SettingError(f"{where}: want a box of four numbers, a score and a label")
        x0, y0, x1, y1 = (_number(v, f"{where}: box", -1e6, 1e6) for v in box)
        if x1 < x0 or y1 < y0:
            raise SettingError(f"{where}: box: want x0 y0 x1 y1, the upper left corner first")
        boxes[k] = min(max(x0, 0), width), min(max(y0, 0), height), min(max(x1, 0), width), min(max(y1, 0), height)
        scores[k] = _number(row.get("score"), f"{where}: score", 0, 1)
        if row.get("label") not in spec.labels:
            raise SettingError(f"{where}: label: want one of {', '.join(spec.labels)}")
        labels.append(spec.labels.index(row["label"]))
    found = Detections(boxes, scores, np.array(labels, np.int64), spec.labels)
    return found[np.argsort(-scores, kind="stable")]


def socket_routes(models: Models, watched: Watched, uploads: Uploads, limits: Limits) -> APIRouter:
    """/ws/detect and /ws/streams/{name}."""
    router = APIRouter()
    places = Places(limits.sockets, limits.client_sockets)

    @router.websocket("/ws/detect")
    async def detect(socket: WebSocket) -> None:
        with places.one(client_of(socket.scope)):
            await _serve(socket, _detecting(socket, Camera(models, limits), uploads, limits), limits)

    @router.websocket("/ws/streams/{name}")
    async def stream(socket: WebSocket, name: str) -> None:
        viewers = watched.viewers(name)
        with places.one(client_of(socket.scope)):
            await _serve(socket, _showing(socket, viewers, limits), limits)

    return router


async def _serve(socket: WebSocket, talk: Any, limits: Limits) -> None:
    """Accept a socket and let it talk, for `limits.socket_time` at most; whatever ends it, it is closed."""
    try:
        async with asyncio.timeout(limits.socket_time) as span:
            await socket.accept()
            await talk
    except WebSocketDisconnect:
        pass
    except TimeoutError:
        text = f"over {limits.socket_time:g} seconds" if span.expired() else f"silent for {limits.idle:g} seconds"
        await _close(socket, 1001, f"the socket was open {text}; connect again")
    finally:
        talk.close()


async def _close(socket: WebSocket, code: int, text: str, **more: Any) -> None:
    try:
        await socket.send_text(to_json({"error": text, **more}).decode())
        await socket.close(code, text[:120])
    except (WebSocketDisconnect, RuntimeError):
        pass  # the other side was faster


async def _message(socket: WebSocket) -> str | bytes:
    message = await socket.receive()
    if message["type"] != "websocket.receive":
        raise WebSocketDisconnect(message.get("code", 1005))
    text: str | None = message.get("text")
    return message.get("bytes") or b"" if text is None else text


async def _detecting(socket: WebSocket, camera: Camera, uploads: Uploads, limits: Limits) -> None:
    """One message after the other: what is sent while one is looked at waits in the sender's own buffers."""
    bucket = Bucket(limits.rate)
    while True:
        async with asyncio.timeout(limits.idle):  # not wait_for, which may swallow the end of the socket's time
            message = await _message(socket)
        if wait := bucket.take():
            await asyncio.sleep(wait)
            bucket.take()
        try:
            answer = await uploads.run(partial(_answered, camera, message))
        except (PasserbyError, HTTPException) as e:
            answer = _error(e)
        await socket.send_text(to_json(answer).decode())


def _answered(camera: Camera, message: str | bytes) -> dict[str, Any]:
    """The answer to one message. Blocks. Raises PasserbyError, Refused."""
    if isinstance(message, bytes):
        return camera.look(message)
    try:
        raw = json.loads(message)
    except (ValueError, RecursionError) as e:
        raise SettingError("a message: this is no JSON") from e
    if isinstance(raw, dict) and len(raw) == 1:
        if "set" in raw:
            return camera.set(raw["set"])
        if "boxes" in raw:
            return camera.follow(raw["boxes"])
    raise SettingError('a message: want {"set": ...}, {"boxes": ...} or the bytes of a picture')


async def _showing(socket: WebSocket, viewers: Viewers, limits: Limits) -> None:
    """A moment and its picture for each "next": the newest, as soon as there is one that was not sent yet."""
    shown = 0
    coming = asyncio.ensure_future(_message(socket))
    try:
        while True:
            async with asyncio.timeout(limits.idle):
                message = await asyncio.shield(coming)
            coming = asyncio.ensure_future(_message(socket))
            if message != "next":
                await socket.send_text(to_json({"error": 'want the text "next"'}).decode())
                continue
            while (moment := await viewers.next(shown, 1.0)) is None and not viewers.stream.ended:
                if coming.done() and coming.exception():
                    return  # nobody is there any more
            if moment is None:
                await _close(socket, 1000, "the stream has ended", ended=True)
                return
            shown = moment.number
            picture = await viewers.jpeg(moment)
            await socket.send_text(to_json(moment_json(moment)).decode())
            await socket.send_bytes(picture)
    finally:
        coming.cancel()
        with suppress(WebSocketDisconnect, asyncio.CancelledError):
            await coming


def _error(error: PasserbyError | HTTPException) -> dict[str, Any]:
    refused = refusal(error) if isinstance(error, PasserbyError) else error
    row: dict[str, Any] = {"error": str(refused.detail)}
    if refused.status_code == 503:
        row |= {"busy": True, "retry": int((refused.headers or {}).get("Retry-After", "1"))}
    return row


def _number(value: Any, where: str, least: float, most: float) -> float:
    good = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not good or not math.isfinite(value) or not least <= value <= most:
        raise SettingError(f"{where}: want a number from {least:g} to {most:g}")
    return float(value)
