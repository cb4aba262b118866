"""The one door out: only to public addresses, only to the one that was looked at, within time and size."""

from __future__ import annotations

import datetime
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from foundation import egress
from foundation.addresses import Ip, parse_allowed
from mutirao.embedded import free_port
from tests.foundation.receiver import Receiver, saying

pytestmark = pytest.mark.embedded

PUBLIC = "93.184.215.14"
Serve = Callable[..., "Receiver"]


@pytest.fixture
def serve() -> Iterator[Serve]:
    made: list[Receiver] = []

    def start(*arguments: Any, **options: Any) -> Receiver:
        made.append(Receiver(*arguments, **options))
        return made[-1]

    yield start
    for receiver in made:
        receiver.close()


@pytest.fixture
def here(settings: Any) -> None:
    """This machine may be asked, over plain HTTP."""
    settings.EGRESS_ALLOWED_HOSTS, settings.EGRESS_ALLOW_HTTP = ["127.0.0.1"], True


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[list[str]]]:
    """What each name leads to, at each question; the last answer stays."""
    answers: dict[str, list[list[str]]] = {}
    real = socket.getaddrinfo

    def resolve(host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
        known = answers.get(host)
        if known is None:
            return real(host, port, *args, **kwargs)
        now = known.pop(0) if len(known) > 1 else known[0]
        if not now:
            raise socket.gaierror("no such name")
        return [
            (socket.AF_INET6 if ":" in each else socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port))
            for each in now
        ]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    return answers


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "127.8.8.8", "0.0.0.0",  # noqa: S104
        "10.1.2.3", "172.16.0.1", "192.168.1.1", "100.64.0.1", "169.254.169.254",
        "192.0.0.192", "198.18.0.1", "192.0.2.1", "224.0.0.1", "255.255.255.255", "168.63.129.16", "localhost",
        "localhost.", "LOCALHOST", "2130706433", "0x7f000001", "0177.0.0.1", "127.1", "0x7f.1", "0",
        "[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:169.254.169.254]", "[::ffff:a9fe:a9fe]", "[::127.0.0.1]",
        "[64:ff9b::7f00:1]", "[64:ff9b::169.254.169.254]", "[64:ff9b:1::1]", "[2002:7f00:1::]", "[2002:a9fe:a9fe::1]",
        "[2001:0:7f00:1::]", "[fe80::1]", "[fec0::1]", "[fc00::1]", "[fd00:ec2::254]", "[ff02::1]", "[2001:db8::1]",
        "[100::1]", "[5f00::1]",
    ],
)  # fmt: skip
def test_an_address_that_is_not_public_is_refused(host: str) -> None:
    with pytest.raises(egress.NotAllowed, match=r"not a public address|no address that"):
        egress.check_destination(f"https://{host}/")
    with pytest.raises(egress.NotAllowed, match=r"not a public address|no address that"):
        egress.send("GET", f"https://{host}/")


@pytest.mark.parametrize("address", [PUBLIC, "2606:2800:21f:cb07::1", "64:ff9b::5db8:d70e", "::ffff:93.184.215.14"])
def test_a_public_address_is_allowed(names: Any, address: str) -> None:
    names["example.com"] = [[address]]
    assert egress.check_destination("https://example.com/hook?x=1").host == "example.com"


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("ftp://example.com/", "https://"),
        ("http://example.com/", "https://"),
        ("file:///etc/passwd", "https://"),
        ("gopher://example.com", "https://"),
        ("example.com", "https://"),
        ("https://", "no host"),
        ("https:///path", "no host"),
        ("https://user:pass@example.com/", "user name"),
        ("https://user@example.com/", "user name"),
        ("https://example.com:99999/", "no address"),
        ("https://example.com:0/", "no address"),
        ("https://exam\x00ple.com/", "no address"),
        ("https://[::1/", "no address"),
        ("https://example.com/" + "x" * 2000, "longer"),
    ],
)
def test_what_is_no_address_for_us_is_refused_with_a_sentence(url: str, sentence: str) -> None:
    with pytest.raises(egress.NotAllowed, match=sentence):
        egress.check_url(url)


@pytest.mark.parametrize("port", [22, 25, 80, 6379, 11211])
def test_only_usual_ports_of_public_addresses_are_open(names: Any, port: int) -> None:
    names["example.com"] = [[PUBLIC]]
    with pytest.raises(egress.NotAllowed, match="443, 8443"):
        egress.check_destination(f"https://example.com:{port}/")
    egress.check_destination("https://example.com:8443/")


def test_one_private_address_among_public_ones_is_enough_to_refuse(names: Any) -> None:
    names["example.com"] = [[PUBLIC, "10.0.0.1"]]
    with pytest.raises(egress.NotAllowed):
        egress.check_destination("https://example.com/")


def test_a_name_that_leads_nowhere_is_said(names: Any) -> None:
    names["example.com"] = [[]]
    with pytest.raises(egress.Unresolvable, match="has no address"):
        egress.check_destination("https://example.com/")
    with pytest.raises(egress.Unresolvable):
        egress.send("GET", "https://example.com/")


def test_what_is_connected_to_is_what_was_looked_at(
    names: Any, settings: Any, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that is public when it is looked at and private a moment later."""
    inside = serve(saying())
    settings.EGRESS_ALLOWED_PORTS = [443, inside.port]
    names["rebinding.example"] = [[PUBLIC], [PUBLIC], ["127.0.0.1"]]
    asked: list[Any] = []

    def connect(address: Any, *_args: Any, **_kwargs: Any) -> Any:
        asked.append(address)
        raise OSError("nobody there")

    monkeypatch.setattr(socket, "create_connection", connect)
    egress.check_destination(f"https://rebinding.example:{inside.port}/")
    with pytest.raises(egress.Unreachable):
        egress.send("GET", f"https://rebinding.example:{inside.port}/")
    # The third answer is private: refused before any connection.
    with pytest.raises(egress.NotAllowed):
        egress.send("GET", f"https://rebinding.example:{inside.port}/")
    assert asked == [(PUBLIC, inside.port)]
    assert inside.heard == []


def test_the_request_says_the_name_and_is_answered(here: None, names: Any, serve: Serve) -> None:
    receiver = serve(saying("201 Created", b"made", "X-Thing: 7"))
    names["hooks.example"] = [["127.0.0.1"]]
    answer = egress.send(
        "POST", f"http://hooks.example:{receiver.port}/a?b=c", content=b"{}", headers={"Content-Type": "text/plain"}
    )
    assert (answer.status, answer.body, answer.headers["x-thing"], answer.is_cut) == (201, b"made", "7", False)
    heard = receiver.heard[0].decode()
    assert heard.startswith("POST /a?b=c HTTP/1.1\r\n")
    assert f"Host: hooks.example:{receiver.port}\r\n" in heard
    assert heard.endswith("\r\n\r\n{}")
    assert heard.count("Host:") == 1


def test_a_redirect_to_the_metadata_service_is_not_followed(here: None, serve: Serve) -> None:
    receiver = serve(saying("302 Found", b"", "Location: http://169.254.169.254/latest/meta-data/"))
    assert egress.send("GET", f"http://127.0.0.1:{receiver.port}/").status == 302
    assert len(receiver.heard) == 1


@pytest.mark.parametrize("part", ["headers", "body", "nothing"])
def test_a_server_that_gives_a_byte_at_a_time_is_left_in_time(here: None, serve: Serve, part: str) -> None:
    beginning = {"headers": b"HTTP/1.1 200 OK\r\nX: ", "body": b"HTTP/1.1 200 OK\r\n\r\n", "nothing": b""}[part]

    def drip(connection: socket.socket) -> None:
        connection.sendall(beginning)
        for _second in range(200):
            time.sleep(0.05)
            if part != "nothing":
                connection.sendall(b"x")

    receiver = serve(drip)
    began = time.monotonic()
    with pytest.raises(egress.TookTooLong):
        egress.send("GET", f"http://127.0.0.1:{receiver.port}/", timeouts=egress.Timeouts(connect=1, read=5, total=0.5))
    assert time.monotonic() - began < 3


def test_a_resolver_that_is_silent_does_not_last(monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_kwargs: over.wait(20))
    with pytest.raises(egress.TookTooLong, match="resolved"):
        egress.send("GET", "https://slow.example/", timeouts=egress.Timeouts(total=0.2))
    over.set()


def test_a_huge_answer_is_refused_or_cut(here: None, serve: Serve) -> None:
    def pour(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            connection.sendall(b"x" * 65536)

    address = f"http://127.0.0.1:{serve(pour).port}/"
    with pytest.raises(egress.TooLarge, match="1000 bytes"):
        egress.send("GET", address, most_bytes=1000)
    answer = egress.send("GET", address, most_bytes=1000, cut=True)
    assert (answer.status, answer.body, answer.is_cut) == (200, b"x" * 1000, True)


def test_a_compressed_answer_stays_small(here: None, serve: Serve) -> None:
    receiver = serve(saying("200 OK", b"\x1f\x8b", "Content-Encoding: gzip"))
    assert egress.send("GET", f"http://127.0.0.1:{receiver.port}/").body == b"\x1f\x8b"
    assert b"Accept-Encoding: identity" in receiver.heard[0]


@pytest.mark.parametrize("said", [b"", b"SSH-2.0-OpenSSH_9\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab"])
def test_what_is_no_answer_is_an_error_of_ours(here: None, serve: Serve, said: bytes) -> None:
    receiver = serve(lambda connection: connection.sendall(said))
    with pytest.raises(egress.Unreachable):
        egress.send("GET", f"http://127.0.0.1:{receiver.port}/")


def test_nobody_listening_is_an_error_of_ours(here: None) -> None:
    with pytest.raises(egress.Unreachable, match="No connection"):
        egress.send("GET", f"http://127.0.0.1:{free_port()}/", timeouts=egress.Timeouts(total=2))


def test_the_proxies_of_the_environment_are_not_used(here: None, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    proxy, receiver = serve(saying("200 OK", b"proxy")), serve(saying())
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
    assert egress.send("GET", f"http://127.0.0.1:{receiver.port}/").body == b"fine"
    assert proxy.heard == []


def test_the_allow_list_opens_what_it_names_and_no_more(names: Any, settings: Any) -> None:
    settings.EGRESS_ALLOWED_HOSTS = ["hooks.internal", "*.team.internal", "10.1.0.0/16", "fd12::/16"]
    names |= {
        "hooks.internal": [["192.168.7.7"]], "a.team.internal": [["10.9.9.9"]], "team.internal": [["10.9.9.9"]],
        "other.example": [["10.1.200.3"]], "six.example": [["fd12::5"]], "evil.internal": [["169.254.169.254"]],
    }  # fmt: skip
    for host in ("hooks.internal", "a.team.internal", "other.example", "six.example", "10.1.2.3"):
        egress.check_destination(f"https://{host}:9999/")
    for host in ("team.internal", "evil.internal", "10.2.0.1", "xhooks.internal"):
        names.setdefault(host, [["10.200.0.1"]])
        with pytest.raises(egress.NotAllowed):
            egress.check_destination(f"https://{host}/")


def test_a_listed_name_does_not_lead_to_credentials_of_a_cloud(names: Any, settings: Any) -> None:
    settings.EGRESS_ALLOWED_HOSTS = ["hooks.internal"]
    for address in ("169.254.169.254", "fe80::1", "fd00:ec2::254", "::ffff:169.254.169.254"):
        names["hooks.internal"] = [[address]]
        with pytest.raises(egress.NotAllowed):
            egress.check_destination("https://hooks.internal/")


def test_plain_http_is_for_what_is_listed(names: Any, settings: Any) -> None:
    settings.EGRESS_ALLOW_HTTP, settings.EGRESS_ALLOWED_HOSTS = True, ["127.0.0.0/8"]
    names["example.com"] = [[PUBLIC]]
    egress.check_destination("http://127.0.0.1:8000/")
    with pytest.raises(egress.NotAllowed, match="Only https"):
        egress.check_destination("http://example.com/")
    settings.EGRESS_ALLOW_HTTP = False
    with pytest.raises(egress.NotAllowed, match="https://"):
        egress.check_destination("http://127.0.0.1:8000/")


@pytest.mark.parametrize("entry", ["", "not a name", "10.0.0.0/99", "1.2.3", "a..b", "http://x"])
def test_what_the_allow_list_cannot_mean_is_named(entry: str) -> None:
    with pytest.raises(ValueError, match="neither a network nor a name"):
        parse_allowed((entry,))


def _certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """A certificate for this name that is its own authority, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    certificate, secret = folder / f"{name}.pem", folder / f"{name}.key"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return certificate, secret


def test_the_certificate_has_to_be_the_names(names: Any, settings: Any, serve: Serve, tmp_path: Path) -> None:
    certificate, secret = _certificate(tmp_path, "hooks.internal")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, secret)
    asked: list[str | None] = []
    context.sni_callback = lambda _socket, name, _context: asked.append(name)
    receiver = serve(saying(), tls=context)
    names |= {"hooks.internal": [["127.0.0.1"]], "other.internal": [["127.0.0.1"]]}
    settings.EGRESS_ALLOWED_HOSTS = ["127.0.0.1"]
    with pytest.raises(egress.Unreachable, match="certificate"):
        egress.send("GET", f"https://hooks.internal:{receiver.port}/")
    settings.EGRESS_CA_FILE = str(certificate)
    assert egress.send("GET", f"https://hooks.internal:{receiver.port}/").body == b"fine"
    with pytest.raises(egress.Unreachable, match="certificate"):
        egress.send("GET", f"https://other.internal:{receiver.port}/")
    assert asked == ["hooks.internal", "hooks.internal", "other.internal"]


def test_an_address_counts_as_what_it_comes_down_to() -> None:
    opened = parse_allowed(("127.0.0.0/8",))
    assert opened.holds(Ip("::ffff:127.0.0.1"))
    assert opened.holds(Ip("64:ff9b::7f00:1"))
    assert not opened.holds(Ip("::1"))
    assert Ip("::ffff:127.0.0.1").plain == ip_address("127.0.0.1")
