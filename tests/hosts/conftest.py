import hosts
import pytest
from lab_cluster import LabCluster


@pytest.fixture(scope="session")
def _hosts_can_be():
    if (reason := hosts.missing()) is not None:
        pytest.skip(reason)


@pytest.fixture(scope="module")
def lab(_hosts_can_be, tmp_path_factory):
    """A switch without hosts."""
    with hosts.Hosts(tmp_path_factory.mktemp("lab")) as lab:
        yield lab


@pytest.fixture(scope="module")
def cluster(lab, tmp_path_factory):
    """A cluster without nodes."""
    return LabCluster(lab=lab, storage=tmp_path_factory.mktemp("store"))
