"""Packages as bytes, to send to the machine that runs them."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

from palettune.device_bench.package.package import PackageError

__all__ = ["pack", "unpack"]


def pack(package: Path) -> bytes:
    """Return the files of an ``.mlpackage`` folder as one uncompressed zip archive."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for path in sorted(package.rglob("*")):
            if path.is_file():
                archive.write(path, path.relative_to(package))
    return buffer.getvalue()


def unpack(data: bytes, package: Path) -> Path:
    """Write the files of an archive made by ``pack``.

    Args:
        package: the ``.mlpackage`` folder to make.

    Raises:
        PackageError: the bytes are no such archive, or are damaged.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            archive.extractall(package)  # refuses absolute paths and those that climb out
    except (zipfile.BadZipFile, OSError) as error:
        raise PackageError(f"{package.name}: the bytes received are no whole package ({error})") from error
    return package
