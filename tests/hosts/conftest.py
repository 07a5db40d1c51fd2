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
    """A cluster without nodes, and a project without jobs that all of them will see."""
    project = tmp_path_factory.mktemp("project")
    (project / "cluster.yaml").write_text("cluster_name: test\n")
    (project / "jobs").mkdir()
    return LabCluster(lab=lab, storage=tmp_path_factory.mktemp("store"), project=project)
