"""Builds the mobula binary, and the client's inner loops in C, into the package.

A wheel carries the binary of one platform and runs on every Python that the package supports, so its tag is
``cp311-abi3-<platform>``: the extension keeps to the limited API of Python 3.11. Without a C compiler or Python's headers, when
building for another platform, and with MOBULA_PURE_PYTHON=1, there is no extension; the build says so, the package uses the same
loops in Python, and the tag is ``py3-none-<platform>``.

The binary is static (no cgo), and the extension asks for nothing newer of its C library than the tag does. Where it does not load,
as beside musl when it was built beside glibc, the loops in Python serve as well.

Where the Go sources are: two directories up in a checkout, ``_go`` in a source distribution, which carries exactly the files
that the binary is built from. Both need ``go`` on PATH. Instead, MOBULA_BUILD_BINARY names a finished binary.

To build for another platform, set GOOS and GOARCH: the tag follows. MOBULA_BUILD_PLATFORM overrides the tag.
"""

from __future__ import annotations

import json
import os
import platform
import shlex
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

# Wheel platform tags. The binary has no C library, so Linux tags name the oldest that pip accepts and musl's as well; Go 1.26 runs
# on macOS 12 and newer.
_TAGS = {
    ("linux", "amd64"): "manylinux_2_17_x86_64.manylinux2014_x86_64.musllinux_1_1_x86_64",
    ("linux", "arm64"): "manylinux_2_17_aarch64.manylinux2014_aarch64.musllinux_1_1_aarch64",
    ("darwin", "amd64"): "macosx_12_0_x86_64",
    ("darwin", "arm64"): "macosx_12_0_arm64",
}
_NO_GO = """\
mobula's wheel is built here from source, and its binary needs the Go toolchain (1.26 or newer), which is not on PATH.
Install Go (https://go.dev/dl), or a wheel for your platform, or set MOBULA_BUILD_BINARY to a mobula binary."""


class CustomBuildHook(BuildHookInterface):  # type: ignore[type-arg]
    """Puts the binary and the extension into wheels, and the Go sources into source distributions."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Runs before a build; version is "standard" or "editable"."""
        if self.target_name == "sdist":
            build_data["force_include"].update({str(file): f"_go/{file.relative_to(root)}" for root, file in self._go_sources()})
            return
        binary = Path(self.root, "src", "mobula", "_bin", "mobula")
        binary.parent.mkdir(exist_ok=True)
        finished = os.environ.get("MOBULA_BUILD_BINARY")
        if finished:
            shutil.copy(finished, binary)
            binary.chmod(0o755)
        else:
            self._build(binary)
        if version == "standard":
            build_data["force_include"][str(self._go_root() / "LICENSE")] = "mobula/LICENSE"
        build_data["pure_python"] = False
        why = self._build_extension()
        if why:
            self.app.display_warning(f"mobula is built without its extension in C, which makes calls quicker: {why}")
        build_data["tag"] = f"{'py3-none' if why else 'cp311-abi3'}-{self._platform()}"

    def _build_extension(self) -> str:
        """Builds the inner loops in C. Returns why that cannot be, or nothing."""
        package = Path(self.root, "src", "mobula")
        extension = package / "_fast.abi3.so"
        extension.unlink(missing_ok=True)
        machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
        if (os.environ.get("GOOS") or sys.platform, os.environ.get("GOARCH") or machine) != (sys.platform, machine):
            return "it cannot be built for another platform"
        if os.environ.get("MOBULA_PURE_PYTHON", "0") not in ("", "0"):
            return "MOBULA_PURE_PYTHON is set"
        if sys.implementation.name != "cpython" or sysconfig.get_config_var("Py_GIL_DISABLED"):
            return "this kind of Python has no limited API"
        if not Path(sysconfig.get_path("include"), "Python.h").is_file():
            return "Python's headers are not here"
        compiler = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")
        if shutil.which(compiler[0]) is None:
            return f"the C compiler {compiler[0]} is not on PATH"
        shared = ["-bundle", "-undefined", "dynamic_lookup"] if sys.platform == "darwin" else ["-shared"]
        flags = ["-std=c11", "-O2", "-fPIC", "-fvisibility=hidden", *shlex.split(os.environ.get("CFLAGS", "")), f"-I{sysconfig.get_path('include')}"]
        sources = map(str, sorted(package.joinpath("_c").glob("*.c")))
        # A new file, then a rename: another build may do the same.
        fresh = extension.with_name(f".fast.{os.getpid()}.new")
        done = subprocess.run([*compiler, *flags, *shared, "-o", str(fresh), *sources], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode:
            fresh.unlink(missing_ok=True)
            return f"the compiler refused it:\n{done.stdout}"
        fresh.replace(extension)
        return ""

    def _build(self, binary: Path) -> None:
        """Builds the binary with the package's version in it."""
        flags = ["-trimpath", "-buildvcs=false", "-ldflags", f"-s -w -X main.version=v{self.metadata.version}"]
        # A new file, then a rename: the old binary may be running.
        fresh = binary.with_name(".mobula.new")
        self._go("build", *flags, "-o", str(fresh), "./cmd/mobula")
        fresh.replace(binary)

    def _go_sources(self) -> Iterator[tuple[Path, Path]]:
        """Yields (root, file) for each file of this module that the binary is built from, on any platform."""
        root = self._go_root()
        files = {root / "go.mod", root / "go.sum", root / "LICENSE"}
        for system, machine in _TAGS:
            listed = self._go("list", "-deps", "-json=Dir,Module,GoFiles,EmbedFiles", "./cmd/mobula", GOOS=system, GOARCH=machine)
            for package in _documents(listed):
                if package.get("Module", {}).get("Main"):
                    names = [*package.get("GoFiles", ()), *package.get("EmbedFiles", ())]
                    files.update(Path(package["Dir"], name) for name in names)
        yield from ((root, file) for file in sorted(files))

    def _go_root(self) -> Path:
        """Returns the directory of go.mod."""
        for root in (Path(self.root, "_go"), Path(self.root).parent.parent):
            if (root / "cmd" / "mobula" / "main.go").is_file():
                return root
        raise RuntimeError("the Go sources of mobula are not here: build from a checkout of the repository or from its source distribution")

    def _go(self, *args: str, **environment: str) -> str:
        """Runs go with args at the Go sources and returns its output."""
        if shutil.which("go") is None:
            raise RuntimeError(_NO_GO)
        # GOWORK: the checkout may lie inside somebody's workspace. GOFLAGS stay the user's.
        env = {**os.environ, "CGO_ENABLED": "0", "GOWORK": "off", **environment}
        done = subprocess.run(["go", *args], cwd=self._go_root(), env=env, stdout=subprocess.PIPE, text=True)
        if done.returncode:
            raise RuntimeError(f"go {' '.join(args)} ended with status {done.returncode}; what it said is above")
        return done.stdout

    def _platform(self) -> str:
        """Returns the platform tag of what go builds here."""
        named = os.environ.get("MOBULA_BUILD_PLATFORM")
        if named:
            return named
        target = json.loads(self._go("env", "-json", "GOOS", "GOARCH"))
        system, machine = target["GOOS"], target["GOARCH"]
        if (system, machine) not in _TAGS:
            raise RuntimeError(f"mobula does not run on {system}/{machine}")
        return _TAGS[system, machine]


def _documents(text: str) -> Iterator[dict[str, Any]]:
    """Yields the JSON objects that follow each other in text."""
    decoder, at = json.JSONDecoder(), 0
    while at < len(text):
        document, at = decoder.raw_decode(text, at)
        yield document
        while at < len(text) and text[at].isspace():
            at += 1
