"""The pages over real HTTP, on a free port."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from monitoring.catalogue import CATALOGUE
from monitoring.health import LOOP, Health
from monitoring.readings import Readings
from monitoring.server import MetricsServer, listen
from monitoring.tap import Tap
from mutable_core.errors import PortTaken, SettingsRefused
from tests.monitoring.makers import SECOND, HandClock, a_day_of, a_row, an_envelope

AGENTS = ("kyle", "joey", "hrm", "kenny", "aletheia", "id")


class House(msgspec.Struct):
    tap: Tap
    health: Health
    clock: HandClock
    server: MetricsServer
    client: httpx.Client

    def get(self, path: str) -> httpx.Response:
        return self.client.get(path)


@pytest.fixture
def house() -> Iterator[House]:
    clock = HandClock()
    tap, health = Tap(clock), Health(clock)
    server = MetricsServer(listen(port=0), tap=tap, readings=Readings(), health=health, now_ns=clock)
    server.start()
    with httpx.Client(base_url=server.url) as client:
        yield House(tap, health, clock, server, client)
    server.stop()


def open_for_business(house: House) -> dict[str, bool]:
    well = dict.fromkeys((*AGENTS, "journal", "source", "watchdog"), True)
    for name in well:
        house.health.register(name, lambda name=name: (well[name], "as told"))
    house.health.register(LOOP, heartbeat_limit_ns=2 * SECOND)
    house.health.beat(LOOP)
    return well


def test_metrics_can_be_parsed_and_name_the_whole_catalogue(house: House) -> None:
    a_day_of(house.tap, decisions=9, at_ns=house.clock())
    answer = house.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    families = {family.name for family in text_string_to_metric_families(answer.text)}
    assert {metric.name.removesuffix("_total") for metric in CATALOGUE} <= families


def test_metrics_as_json(house: House) -> None:
    a_day_of(house.tap, decisions=9, at_ns=house.clock())
    page = house.get("/metrics/json").json()
    assert set(page) == {"timestamp", "counters", "gauges", "histograms"}
    assert page["counters"]["graveyard_validations_total"] == [{"labels": {}, "value": 9}]
    assert page["histograms"]["ark_pass_latency_ms"]["count"] == 9


def test_slos_without_data_are_unknown(house: House) -> None:
    page = house.get("/slos").json()
    assert (page["total"], page["met"], page["violated"], page["unknown"]) == (5, 0, 0, 5)


def test_slos_with_data_are_met(house: House) -> None:
    a_day_of(house.tap, decisions=9, at_ns=house.clock())
    page = house.get("/slos").json()
    assert {slo["name"] for slo in page["slos"] if slo["status"] == "met"} == {
        "p95_decision_latency", "hrm_eval_latency", "ethics_drift", "state_write",
    }  # fmt: skip


def test_an_empty_house_is_neither_healthy_nor_ready(house: House) -> None:
    assert house.get("/healthz").status_code == 503
    assert house.get("/readyz").status_code == 503
    assert house.get("/readyz").json() == {"ready": False, "reason": "nothing is registered", "components": []}


def test_readiness_follows_the_components(house: House) -> None:
    well = open_for_business(house)
    assert house.get("/readyz").status_code == 200
    assert house.get("/readyz").json()["ready"] is True
    for name in well:
        well[name] = False
        answer = house.get("/readyz")
        assert answer.status_code == 503
        assert [part["name"] for part in answer.json()["components"] if not part["ok"]] == [name]
        assert name in answer.json()["reason"]
        well[name] = True
    assert house.get("/readyz").status_code == 200


def test_a_loop_that_stands_still_is_neither_healthy_nor_ready(house: House) -> None:
    open_for_business(house)
    assert house.get("/healthz").status_code == 200
    house.clock.pass_(2.001)
    assert house.get("/healthz").status_code == 503
    assert house.get("/healthz").json()["status"] == "unhealthy"
    assert house.get("/readyz").status_code == 503
    house.health.beat(LOOP)
    assert house.get("/healthz").status_code == 200


def test_an_agent_that_is_ill_does_not_make_the_process_unhealthy(house: House) -> None:
    """A restart of the process would not help it: that is the Watchdog's work."""
    open_for_business(house)["joey"] = False
    assert house.get("/healthz").status_code == 200
    assert house.get("/readyz").status_code == 503


def test_readiness_is_a_metric_too(house: House) -> None:
    assert "\nark_ready 0.0\n" in house.get("/metrics").text
    open_for_business(house)
    assert "\nark_ready 1.0\n" in house.get("/metrics").text


def test_availability_is_looked_at_from_the_start() -> None:
    clock = HandClock()
    health = Health(clock)
    health.register(LOOP, heartbeat_limit_ns=SECOND)
    health.beat(LOOP)
    server = MetricsServer(listen(port=0), tap=Tap(clock), readings=Readings(), health=health, now_ns=clock)
    server.start()
    try:
        page = httpx.get(f"{server.url}/slos").json()
    finally:
        server.stop()
    (availability,) = (slo for slo in page["slos"] if slo["name"] == "availability_995")
    assert (availability["status"], availability["value"]) == ("met", 1.0)


@pytest.mark.parametrize(
    "path", ["/", "/metrics/", "/metrics/JSON", "/Metrics", "/%2e%2e/etc/passwd", "/" + "x" * 5_000]
)
def test_any_other_path_is_not_found(house: House, path: str) -> None:
    answer = house.get(path)
    assert answer.status_code == 404
    assert answer.json() == {"error": "Not Found"}


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "FOO"])
@pytest.mark.parametrize("path", ["/metrics", "/metrics/json", "/slos", "/healthz", "/readyz"])
def test_pages_are_only_read(house: House, method: str, path: str) -> None:
    answer = house.client.request(method, path)
    assert answer.status_code == 405
    assert answer.json() == {"error": "Method Not Allowed"}
    assert "GET" in answer.headers["allow"]


@pytest.mark.parametrize("path", ["/metrics", "/metrics/json", "/slos", "/healthz", "/readyz"])
def test_head_answers_as_get_without_the_page(house: House, path: str) -> None:
    head = house.client.head(path)
    assert head.status_code == house.get(path).status_code
    assert head.content == b""


def test_bytes_that_are_no_http_are_refused_and_harm_nobody(house: House) -> None:
    with socket.create_connection((house.server.host, house.server.port), timeout=5) as raw:
        raw.sendall(b"\x16\x03\x01\x00\xff garbage\r\n\r\n")
        assert raw.recv(64).startswith(b"HTTP/1.1 400")
    assert house.get("/metrics").status_code == 200


def test_twenty_scrapes_at_once_while_the_tap_is_written(house: House) -> None:
    """Every scrape is whole, and the counter never falls from one to the next on the same connection."""
    done = threading.Event()

    def write() -> None:
        n = 0
        while not done.is_set():
            house.tap.seen(an_envelope(a_row(), of=n), house.clock())
            n += 1

    def rows_in(text: str) -> float:
        families = {family.name: family for family in text_string_to_metric_families(text)}
        return next(s.value for s in families["ark_messages"].samples if s.labels["kind"] == "market.row")

    def scrape(_: int) -> list[float]:
        with httpx.Client(base_url=house.server.url, timeout=60) as client:
            return [rows_in(client.get("/metrics").raise_for_status().text) for _ in range(3)]

    writer = threading.Thread(target=write)
    writer.start()
    try:
        with ThreadPoolExecutor(20) as pool:
            for counts in pool.map(scrape, range(20)):
                assert counts == sorted(counts)
    finally:
        done.set()
        writer.join()


def test_a_taken_port_is_one_clear_error_before_anything_starts(house: House) -> None:
    with pytest.raises(PortTaken) as caught:
        listen(port=house.server.port)
    assert caught.value.exit_code == 2
    assert caught.value.where == f"127.0.0.1:{house.server.port}"
    assert "--port" in caught.value.to_do
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("host", "port"), [("127.0.0.1", 65_536), ("127.0.0.1", -1), ("192.0.2.1", 0)])
def test_an_address_that_we_cannot_have_is_refused(host: str, port: int) -> None:
    with pytest.raises(SettingsRefused) as caught:
        listen(host, port)
    assert "\n" not in str(caught.value)


def a_server() -> MetricsServer:
    return MetricsServer(listen(port=0), tap=Tap(), readings=Readings(), health=Health())


def test_it_leaves_no_thread_and_no_socket_behind() -> None:
    before = threading.active_count()
    server = a_server()
    server.start()
    httpx.get(f"{server.url}/metrics")
    server.stop()
    server.stop()
    assert threading.active_count() == before
    listen(port=server.port).close()


def test_it_stops_while_a_client_holds_a_connection() -> None:
    server = a_server()
    server.start()
    with socket.create_connection((server.host, server.port), timeout=5) as idle:
        idle.sendall(b"GET /metrics HTTP/1.1\r\n")
        server.stop()
        assert not any(thread.name == "metrics" for thread in threading.enumerate())


def test_a_server_that_was_never_started_can_be_stopped() -> None:
    server = a_server()
    server.stop()
    listen(port=server.port).close()


def test_it_answers_while_the_main_thread_is_busy(house: House) -> None:
    """A loop that computes without a pause cannot mute the pages."""
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(house.get, "/metrics")
        turns = 0
        while not answer.done():
            turns += 1
    assert answer.result().status_code == 200


@pytest.fixture
def handler() -> Iterator[Callable[[int, object], None]]:
    """The process's own handler of both signals; what was there before comes back."""

    def ours(_number: int, _frame: object) -> None: ...

    before = {one: signal.signal(one, ours) for one in (signal.SIGINT, signal.SIGTERM)}
    yield ours
    for one, was in before.items():
        signal.signal(one, was)


def test_the_signal_handlers_of_the_process_are_left_alone(
    handler: Callable[[int, object], None], house: House
) -> None:
    """The handlers are set before the server starts: it must not take them away."""
    assert house.get("/healthz").status_code in (200, 503)
    assert signal.getsignal(signal.SIGINT) is handler
    assert signal.getsignal(signal.SIGTERM) is handler
