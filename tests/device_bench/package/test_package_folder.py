"""The folder of a package."""

import pytest

from palettune.device_bench.package.package_folder import require_package
from palettune.space.errors import UserError


def test_a_package_is_a_folder(tmp_path):
    require_package(tmp_path)
    (tmp_path / "file.mlpackage").write_text("")
    for missing in ("file.mlpackage", "none.mlpackage"):
        with pytest.raises(UserError, match=f"{missing}: no such package; expected the path of an .mlpackage folder"):
            require_package(tmp_path / missing)
