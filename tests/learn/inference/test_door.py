"""What an archive says leads to public hosts and to its own, whatever it redirects to."""

import json
import os
import socket
from base64 import b64encode
from contextlib import closing
from http.client import HTTPConnection

import numpy as np
import pytest
import rasterio
from requests.adapters import HTTPAdapter

from registry.errors import InvalidInputError, UnavailableError
from registry.geo import parse_interval
from registry.learn.inference import asking
from registry.learn.inference import door as doors
from registry.learn.inference.archive import Acquired, Search, fetch, search
from registry.learn.inference.asked_area import area_of
from registry.learn.inference.door import door
from registry.learn.inference.presets import preset_named
from registry.learn.inference.web import UnsafeAddressError, addresses, check_href
from registry.learn.loading.contract import Band, Input
from tests.learn.inference.hosts import Canary, Host, Trickling

UTM = "EPSG:32631"
LEFT, TOP = 483_000, 4_688_000


@pytest.fixture(autouse=True)
def no_proxy_of_the_network(monkeypatch):
    for name in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def canary():
    with Canary() as bird:
        yield bird


@pytest.fixture
def host():
    with Host() as server:
        yield server


@pytest.fixture
def names(monkeypatch):
    """Names and what they mean: address after address, one for each time that they are asked."""
    known = {}
    real = socket.getaddrinfo

    def found(name, port, *args, **more):
        if name not in known:
            return real(name, port, *args, **more)
        number = known[name].pop(0) if len(known[name]) > 1 else known[name][0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (number, port))]

    monkeypatch.setattr(socket, "getaddrinfo", found)
    return known


def cog(folder, side=1024):
    path = folder / "cog.tif"
    noise = np.random.default_rng(1).integers(1, 9000, (1, side, side)).astype(np.uint16)
    with rasterio.open(
        path, "w", driver="COG", height=side, width=side, count=1, dtype="uint16", crs=UTM,
        transform=rasterio.Affine(10, 0, LEFT, 0, -10, TOP), nodata=0, blocksize=256,
        compress="deflate",
    ) as file:  # fmt: skip
        file.write(noise)
    return path.read_bytes(), noise[0]


def fetched(api, href, out):
    wanted = Search(
        preset=preset_named("sentinel-2-l2a"), api=api, area=area_of("2.80,42.335,2.805,42.34"),
        interval=parse_interval("2020"),
    )  # fmt: skip
    ring = [[2.7, 42.3], [2.9, 42.3], [2.9, 42.4], [2.7, 42.4], [2.7, 42.3]]
    item = {
        "type": "Feature", "stac_version": "1.0.0", "stac_extensions": [], "id": "one",
        "collection": "sentinel-2-l2a", "geometry": {"type": "Polygon", "coordinates": [ring]},
        "bbox": [2.7, 42.3, 2.9, 42.4], "properties": {"datetime": "2020-01-01T00:00:00Z"},
        "assets": {"red": {"href": href}}, "links": [],
    }  # fmt: skip
    day = Acquired(day="2020-01-01", items=(item,), cloud=None, offset=0.0)
    red = Input(asset="image", bands=(Band(name="B04", unit="reflectance", scale=1e-4),), gsd=10.0)
    return fetch(day, wanted, red, out, keep_clouds=True)


def test_a_file_of_the_archives_own_host_is_read_by_ranges(host, tmp_path):
    data, pixels = cog(tmp_path)
    host.files["/real.tif"] = data
    host.elsewhere["/moved.tif"] = f"{host.address}/real.tif"
    assert fetched(host.address, f"{host.address}/moved.tif", tmp_path / "out.tif") == 1
    with rasterio.open(tmp_path / "out.tif") as file:
        array, place = file.read(1), file.transform
    top, left = int((TOP - place.f) / 10), int((place.c - LEFT) / 10)
    assert (array == pixels[top : top + array.shape[0], left : left + array.shape[1]]).all()
    assert any(ranged for _, path, ranged in host.asked if path == "/real.tif")
    assert host.sent < len(data) / 2


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_redirect_into_the_private_network_reaches_nobody(host, canary, names, scheme, tmp_path):
    names["inside.example"] = ["127.0.0.1"]
    for place in ("127.0.0.1", "inside.example"):
        host.elsewhere["/a.tif"] = f"{scheme}://{place}:{canary.port}/canary.tif"
        with pytest.raises(UnsafeAddressError, match=f"leads to '{scheme}://{place}"):
            fetched(host.address, f"{host.address}/a.tif", tmp_path / "out.tif")
    assert host.asked
    assert canary.heard == []


def anything(host):
    return Search(
        preset=preset_named("hls-s30"), area=area_of("1,2,3,4"), api=host.address,
        interval=parse_interval("2020"),
    )  # fmt: skip


def test_an_api_that_redirects_into_the_private_network_reaches_nobody(host, canary):
    host.elsewhere["/"] = f"http://127.0.0.1:{canary.port}/"
    with pytest.raises(UnsafeAddressError, match=str(canary.port)):
        search(anything(host))
    assert canary.heard == []


@pytest.mark.filterwarnings("ignore::pystac_client.warnings.PystacClientWarning")
def test_an_api_cannot_have_a_file_of_this_machine_opened(host, tmp_path):
    catalog = {"type": "Catalog", "id": "a", "description": "a", "stac_version": "1.0.0"}
    (tmp_path / "secret.json").write_text(json.dumps({**catalog, "links": []}))
    link = {"rel": "child", "href": str(tmp_path / "secret.json")}
    host.files["/"] = json.dumps({**catalog, "links": [link]}).encode()
    with pytest.raises(UnavailableError, match=r"secret\.json"):
        search(anything(host))


LEVEL = "https://api.stacspec.org/v1.0.0"
LANDING = {"type": "Catalog", "id": "a", "description": "a", "stac_version": "1.0.0"}
COLLECTION = {
    **LANDING, "type": "Collection", "license": "other", "links": [],
    "extent": {"spatial": {"bbox": [[0, 0, 1, 1]]}, "temporal": {"interval": [[None, None]]}},
}  # fmt: skip


def serve(host, landing, collections, *, next_page=False):
    """Serve an API that has collections, and nothing to search."""
    links = [{"rel": "data", "href": f"{host.address}/collections"}]
    conforms = {"conformsTo": [f"{LEVEL}/core", f"{LEVEL}/collections"], "links": links}
    host.files["/"] = json.dumps({**landing, **conforms}).encode()
    again = [{"rel": "next", "href": f"{host.address}/collections"}] if next_page else []
    page = {"collections": collections, "links": again}
    host.files["/collections"] = json.dumps(page).encode()


@pytest.mark.filterwarnings("ignore::pystac_client.warnings.PystacClientWarning")
def test_an_api_whose_pages_never_end_is_left(host, monkeypatch):
    monkeypatch.setattr(asking, "_QUESTIONS", 10)
    serve(host, LANDING, [COLLECTION], next_page=True)
    with pytest.raises(UnavailableError, match="more than 10 pages"):
        search(anything(host))
    assert len(host.asked) == 10


@pytest.mark.filterwarnings("ignore::pystac_client.warnings.PystacClientWarning")
@pytest.mark.parametrize(
    ("landing", "collection"),
    [
        (LANDING, {**COLLECTION, "id": "HLSS30_2.0"}),
        (LANDING, {**COLLECTION, "type": "Feature"}),
        (LANDING, {"type": "Collection"}),
        (LANDING, "a"),
        ({**LANDING, "type": "Feature"}, COLLECTION),
        ({}, COLLECTION),
    ],
)
def test_what_is_no_api_to_search_is_said_to_be_none(host, landing, collection):
    serve(host, landing, [collection])
    with pytest.raises(UnavailableError, match="does not answer as a STAC API"):
        search(anything(host))


def test_an_answer_that_is_too_large_is_left(host, monkeypatch):
    monkeypatch.setattr(asking, "_LARGEST", 100_000)
    host.files["/"] = b"[" * 100_001
    with pytest.raises(UnavailableError, match="larger than 100,000 bytes"):
        search(anything(host))


def test_a_search_that_never_ends_is_left_however_often_something_comes(monkeypatch):
    monkeypatch.setattr(asking, "_LONGEST", 0.2)
    with Trickling() as slow:
        with pytest.raises(UnavailableError, match=r"takes longer than 0\.2 s to answer"):
            search(anything(slow))
        assert slow.asked == 1  # nor is it asked again


def test_a_tunnel_ends_when_the_door_closes():
    with Trickling() as slow, door(f"https://127.0.0.1:{slow.port}", seconds=0.3) as proxy:
        with closing(tunnel(proxy, "127.0.0.1", slow.port)) as way:
            while way.sock.recv(1000):
                pass
        assert slow.asked == 1
        with pytest.raises(OSError, match="502"):
            tunnel(proxy, "127.0.0.1", slow.port)


@pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"])
def test_an_api_may_have_certificates_of_the_networks_own(monkeypatch, name):
    for each in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.delenv(each, raising=False)
    monkeypatch.setenv(name, os.devnull)
    believed = []

    def send(_, request, **more):
        believed.append(more["verify"])
        raise OSError("nobody is there")

    monkeypatch.setattr(HTTPAdapter, "send", send)
    with pytest.raises(UnavailableError, match="nobody is there"):
        asking.items("https://127.0.0.1:1", ["a"], bbox=(0, 0, 1, 1), interval="2020")
    assert believed == [os.devnull]


def tunnel(proxy, host, port, *, password=True):
    """Return a connection by the door, or what it says instead."""
    user, _, place = proxy.removeprefix("http://").rpartition("@")
    said = {"Proxy-Authorization": f"Basic {b64encode(user.encode()).decode()}"}
    one = HTTPConnection(place, timeout=10)
    one.set_tunnel(host, port, said if password else {})
    one.connect()
    return one


@pytest.fixture
def connected(monkeypatch):
    """Addresses that the door connects to; only those of this machine are there."""
    made = []
    real = socket.create_connection

    def connect(address, *args, **more):
        if address[0] != "127.0.0.1":
            made.append(address)
            raise OSError("nobody is there")
        return real(address, *args, **more)

    monkeypatch.setattr(doors.socket, "create_connection", connect)
    return made


def test_a_connection_goes_to_the_address_that_was_checked(names, connected, canary):
    names["tiles.example"] = ["93.184.216.34", "127.0.0.1"]
    with door("https://earth.example") as proxy:
        with pytest.raises(OSError, match="502"):
            tunnel(proxy, "tiles.example", canary.port)
        with pytest.raises(OSError, match="403"):
            tunnel(proxy, "tiles.example", canary.port)
    assert connected == [("93.184.216.34", canary.port)]
    assert canary.heard == []


def test_the_archives_own_name_never_comes_to_mean_another_machine(names, connected, canary):
    names["earth.example"] = ["93.184.216.34", "127.0.0.1"]
    with door(f"https://earth.example:{canary.port}") as proxy:
        for _ in range(2):
            with pytest.raises(OSError, match="502"):
                tunnel(proxy, "earth.example", canary.port)
    assert connected == [("93.184.216.34", canary.port)] * 2
    assert canary.heard == []


def test_an_archive_of_ones_own_may_be_private_but_its_neighbours_are_not_reached(host, canary):
    host.files["/a"] = b"hello"
    with door(f"https://127.0.0.1:{host.port}") as proxy:
        with closing(tunnel(proxy, "127.0.0.1", host.port)) as one:
            one.request("GET", "/a")
            assert one.getresponse().read() == b"hello"
        with pytest.raises(OSError, match="403"):
            tunnel(proxy, "127.0.0.1", canary.port)
    assert canary.heard == []


def test_the_door_opens_to_who_has_its_password(host):
    with door(f"https://127.0.0.1:{host.port}") as proxy, pytest.raises(OSError, match="407"):
        tunnel(proxy, "127.0.0.1", host.port, password=False)
    assert host.asked == []


def test_nothing_is_taken_in_from_who_lacks_the_password(host):
    with door(host.address) as proxy:
        place = proxy.rpartition("@")[2].split(":")
        with socket.create_connection((place[0], int(place[1])), 10) as one:
            asked = f"POST {host.address}/a HTTP/1.1\r\nContent-Length: 16000000\r\n\r\n"
            one.sendall(asked.encode())
            assert one.recv(1000).split()[1] == b"407"  # before any of it comes
    assert host.asked == []


@pytest.mark.parametrize("length", ["17000000", "-1", "many"])
def test_a_question_that_is_too_long_is_refused(host, length):
    with door(host.address) as proxy:
        user, _, place = proxy.removeprefix("http://").rpartition("@")
        with closing(HTTPConnection(place, timeout=10)) as one:
            one.putrequest("POST", f"{host.address}/a")
            one.putheader("Proxy-Authorization", f"Basic {b64encode(user.encode()).decode()}")
            one.putheader("Content-Length", length)
            one.endheaders()
            assert one.getresponse().status == 413
    assert host.asked == []


def test_a_network_that_has_its_own_proxy_is_left_by_it_alone(names, monkeypatch, canary):
    names["tiles.example"] = ["93.184.216.34"]
    names["inside.example"] = ["10.0.0.1"]
    monkeypatch.setenv("HTTPS_PROXY", f"http://me:secret@127.0.0.1:{canary.port}")
    with door("https://earth.example") as proxy:
        with pytest.raises(OSError, match="502"):
            tunnel(proxy, "tiles.example", 443)
        with pytest.raises(OSError, match="403"):
            tunnel(proxy, "inside.example", 443)
    (said,) = canary.heard
    assert said.startswith(b"CONNECT tiles.example:443 HTTP/1.1\r\n")
    assert b64encode(b"me:secret") in said


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ("socks5://127.0.0.1:1", "of the kind 'socks5'"),
        ("http://proxy.example:port", "no host and port"),
        ("http://[::1", "no host and port"),
    ],
)
def test_a_proxy_that_cannot_be_asked_is_said(monkeypatch, said, problem):
    monkeypatch.setenv("HTTPS_PROXY", said)
    with pytest.raises(InvalidInputError, match=problem), door("https://earth.example"):
        pass


@pytest.mark.parametrize(
    "number",
    [
        "0.0.0.0",  # noqa: S104 — nobody binds to it
        "10.1.2.3", "100.64.0.1", "127.0.0.1", "169.254.169.254", "172.16.0.1",
        "192.168.1.1", "224.0.0.1", "::", "::1", "::7f00:1", "::ffff:10.0.0.1",
        "::ffff:169.254.169.254", "64:ff9b::7f00:1", "64:ff9b:1::7f00:1", "2002:7f00:1::",
        "fc00::1", "fd00:ec2::254", "fe80::1", "fec0::2", "ff02::1",
    ],
)  # fmt: skip
def test_addresses_that_are_nobody_elses_are_refused(names, number):
    names["inside.example"] = [number]
    with pytest.raises(UnsafeAddressError, match=r"inside\.example"):
        addresses("inside.example", 443)
    place = f"[{number}]" if ":" in number else number
    with pytest.raises(UnsafeAddressError):
        check_href(f"https://{place}/a.tif", api="https://earth.example")


@pytest.mark.parametrize("number", ["8.8.8.8", "2001:4860:4860::8888", "64:ff9b::808:808"])
def test_addresses_that_anybody_may_have_are_followed(number):
    assert addresses(number, 443) == (number,)


@pytest.mark.parametrize("number", ["010.0.0.1", "0x8.8.8.8", "134744072", "8.2056", "8.8.8.8."])
def test_a_number_that_not_all_programs_read_alike_is_refused(number):
    with pytest.raises(UnsafeAddressError, match=number):
        addresses(number, 443)
