"""A STAC API of stac-fastapi over items at hand, which serves their files too."""

import socket
import threading
import time
from datetime import datetime

import attrs
import uvicorn
from stac_fastapi.api.app import StacApi
from stac_fastapi.types.config import ApiSettings
from stac_fastapi.types.core import BaseCoreClient
from stac_fastapi.types.errors import NotFoundError
from stac_fastapi.types.rfc3339 import str_to_interval
from starlette.staticfiles import StaticFiles


@attrs.define
class Shelf(BaseCoreClient):
    collections: dict = attrs.field(factory=dict)
    items: list = attrs.field(factory=list)

    def all_collections(self, **_):
        return {"collections": list(self.collections.values()), "links": []}

    def get_collection(self, collection_id, **_):
        if collection_id not in self.collections:
            raise NotFoundError(collection_id)
        return self.collections[collection_id]

    def item_collection(self, collection_id, **_):
        return self._found([collection_id], None, (None, None))

    def get_item(self, item_id, collection_id, **_):
        return next(one for one in self.items if one["id"] == item_id)

    def get_search(self, collections=None, bbox=None, datetime=None, **_):
        span = str_to_interval(datetime) if isinstance(datetime, str) else datetime
        return self._found(collections, bbox, span or (None, None))

    def post_search(self, search_request, **_):
        span = (search_request.start_date, search_request.end_date)
        return self._found(search_request.collections, search_request.bbox, span)

    def _found(self, collections, bbox, span):
        span = span if isinstance(span, tuple) else (span, span)
        there = [
            one for one in self.items
            if (not collections or one["collection"] in collections)
            and (not bbox or _meet(one["bbox"], bbox)) and _within(one, span)
        ]  # fmt: skip
        return {"type": "FeatureCollection", "features": there, "links": []}


def _meet(a, b):
    return a[0] <= b[2] and b[0] <= a[2] and a[1] <= b[3] and b[1] <= a[3]


def _within(item, span):
    moment = datetime.fromisoformat(item["properties"]["datetime"])
    return (span[0] is None or moment >= span[0]) and (span[1] is None or moment <= span[1])


class Running:
    """The API on a free port of this machine, in a thread."""

    def __init__(self, folder):
        self.folder = folder
        self.shelf = Shelf()
        settings = ApiSettings(
            stac_fastapi_title="archive", stac_fastapi_description="of a test",
            stac_fastapi_landing_id="archive", enable_response_models=False,
        )  # fmt: skip
        app = StacApi(settings=settings, client=self.shelf, extensions=[]).app
        app.mount("/files", StaticFiles(directory=folder))
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        # no log_config: it would shut handlers down, and that of absl closes what it writes to
        config = uvicorn.Config(app, log_config=None, log_level="error", lifespan="off", ws="none")
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._socket]}, daemon=True
        )

    def __enter__(self):
        self._thread.start()
        while not self._server.started:
            time.sleep(0.01)
        return self

    def __exit__(self, *_):
        self._server.should_exit = True
        self._thread.join(10)
        self._socket.close()

    def collect(self, name):
        self.shelf.collections[name] = {
            "type": "Collection", "stac_version": "1.0.0", "id": name, "description": "of a test",
            "license": "other", "links": [],
            "extent": {"spatial": {"bbox": [[-180, -90, 180, 90]]},
                       "temporal": {"interval": [["2015-01-01T00:00:00Z", None]]}},
        }  # fmt: skip

    def add(self, collection, name, *, bbox, day, hrefs, **properties):
        west, south, east, north = bbox
        ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
        self.shelf.items.append({
            "type": "Feature", "stac_version": "1.0.0", "id": name, "collection": collection,
            "geometry": {"type": "Polygon", "coordinates": [ring]}, "bbox": list(bbox),
            "properties": {"datetime": f"{day}T10:50:00+00:00", **properties}, "links": [],
            "assets": {key: {"href": href} for key, href in hrefs.items()},
        })  # fmt: skip
