"""A real etcd and kube-apiserver from a folder, as KUBEBUILDER_ASSETS names one."""

import os
import ssl
import subprocess
import time
import urllib.request
from contextlib import ExitStack
from pathlib import Path

import yaml

from tests.ports import free_port

PATIENCE = 90.0


class RealApiServer:
    """Both processes on loopback; accounts `admin` (everything) and `gateway` (nothing, until a role says so)."""

    def __init__(self, assets: Path, folder: Path) -> None:
        self.folder = folder
        self.children = ExitStack()
        try:
            self._keys()
            self.port = free_port()
            self._start(assets)
            self.kubeconfig = self._kubeconfig()
            self._wait()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        self.children.close()

    def _openssl(self, *arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=self.folder, check=True, capture_output=True)

    def _keys(self) -> None:
        """A certificate that signs itself, a key for service accounts, and tokens."""
        new = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")
        alt = ("-subj", "/CN=kube-apiserver", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost")
        self._openssl("req", "-x509", *new, *alt, "-keyout", "server.key", "-out", "server.crt")
        self._openssl("genrsa", "-out", "accounts.key", "2048")
        tokens = "admin-token,admin,admin,system:masters\ngateway-token,gateway,gateway,\n"
        (self.folder / "tokens.csv").write_text(tokens)

    def _start(self, assets: Path) -> None:
        store, peers = free_port(), free_port()
        etcd = f"http://127.0.0.1:{store}"
        self._spawn(
            assets / "etcd",
            f"--data-dir={self.folder / 'etcd'}",
            *(f"--listen-client-urls={etcd}", f"--advertise-client-urls={etcd}"),
            f"--listen-peer-urls=http://127.0.0.1:{peers}",
        )
        self._age(etcd)
        issuer = "https://kubernetes.default.svc"
        self._spawn(
            assets / "kube-apiserver",
            *(f"--etcd-servers={etcd}", "--bind-address=127.0.0.1", "--advertise-address=127.0.0.1"),
            *(f"--secure-port={self.port}", "--tls-cert-file=server.crt", "--tls-private-key-file=server.key"),
            *("--token-auth-file=tokens.csv", "--authorization-mode=RBAC", "--endpoint-reconciler-type=none"),
            *(f"--service-account-issuer={issuer}", "--service-account-key-file=accounts.key"),
            *("--service-account-signing-key-file=accounts.key", "--service-cluster-ip-range=10.96.0.0/16"),
            *(f"--cert-dir={self.folder}", "--disable-admission-plugins=ServiceAccount"),
        )

    def _spawn(self, program: Path, *arguments: str) -> None:
        log = self.children.enter_context((self.folder / f"{program.name}.log").open("wb"))
        child = subprocess.Popen([program, *arguments], cwd=self.folder, stdout=log, stderr=log)
        self.children.callback(child.wait, 20)
        self.children.callback(child.kill)

    def _age(self, etcd: str) -> None:
        """Write something before the API server starts: version 1 is then older than all that it remembers."""
        put = urllib.request.Request(f"{etcd}/v3/kv/put", data=b'{"key": "YQ==", "value": "YQ=="}')
        for _ in range(5):
            _ask(put)

    def _kubeconfig(self) -> Path:
        cluster = {"server": f"https://127.0.0.1:{self.port}", "certificate-authority": str(self.folder / "server.crt")}
        return write_kubeconfig(self.folder / "kubeconfig", cluster)

    def _wait(self) -> None:
        """Until the API server says that it is ready."""
        trust = ssl.create_default_context(cafile=str(self.folder / "server.crt"))
        request = urllib.request.Request(
            f"https://127.0.0.1:{self.port}/readyz", headers={"authorization": "Bearer admin-token"}
        )
        _ask(request, trust)


def _ask(request: urllib.request.Request, trust: ssl.SSLContext | None = None) -> None:
    """Send a request until it is answered with 200."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            with urllib.request.urlopen(request, context=trust, timeout=2):
                return
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)


def write_kubeconfig(file: Path, cluster: dict[str, str]) -> Path:
    """A kubeconfig with the contexts `admin`, the current one, and `gateway`."""
    accounts = ("admin", "gateway")
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "test", "cluster": cluster}],
        "users": [{"name": name, "user": {"token": f"{name}-token"}} for name in accounts],
        "contexts": [{"name": name, "context": {"cluster": "test", "user": name}} for name in accounts],
        "current-context": "admin",
    }
    file.write_text(yaml.safe_dump(document))
    return file


def assets() -> Path | None:
    """The folder with the real thing, where there is one."""
    named = os.environ.get("KUBEBUILDER_ASSETS")
    return Path(named) if named else None
