"""Certificates name every machine, and only the user reads their keys."""

import ssl
import stat
from datetime import UTC, datetime, timedelta

import pytest

from orchestrator.cluster.certificates import Certificates
from orchestrator.errors import UsageError

HOSTS = ("10.0.0.1", "node.lab")


@pytest.fixture
def made(tmp_path):
    found = Certificates(folder=tmp_path / "tls")
    found.make(HOSTS, now=datetime.now(UTC))
    return found


def test_connection_over_them_is_trusted_for_these_hosts_alone(made):
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=made.authority)
    server.load_cert_chain(made.certificate, made.key)
    client = ssl.create_default_context(cafile=made.authority)
    for host in ("10.0.0.1", "node.lab", "127.0.0.1", "localhost"):
        shake_hands(client, server, host)
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(client, server, "10.0.0.9")


def shake_hands(client, server, host):
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    there = client.wrap_bio(down, up, server_hostname=host)
    here = server.wrap_bio(up, down, server_side=True)
    for _ in range(4):
        for side in (there, here):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    assert there.version() == here.version() == "TLSv1.3"


def test_only_the_user_reads_them(made):
    assert stat.S_IMODE(made.folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(p.stat().st_mode) for p in made.folder.iterdir()} == {0o600}
    assert made.authority_key not in made.shipped()


def test_certificates_that_will_not_do_are_refused(made, tmp_path):
    now = datetime.now(UTC)
    made.check(HOSTS, now=now)
    with pytest.raises(UsageError, match=r"does not name 10\.0\.0\.2"):
        made.check((*HOSTS, "10.0.0.2"), now=now)
    with pytest.raises(UsageError, match="has expired"):
        made.check(HOSTS, now=now + timedelta(days=366))
    with pytest.raises(UsageError, match="no certificates"):
        Certificates(folder=tmp_path / "none").check(HOSTS, now=now)
