"""Packages as an export leaves them, but for what is in them."""

import json

from tests.search.studies import SPACE

CONFIGURATION = SPACE.uniform(next(iter(SPACE.menus.values())).encodings[-1])


def exported(folder, *trials, content="weights", passed=True):
    """Packages with their manifest in a folder; the paths of the former, and that of the latter."""
    folder.mkdir(parents=True, exist_ok=True)
    packages, entries = [], []
    for trial in trials:
        package = folder / f"x-trial{trial}-2.09MB.mlpackage"
        (package / "Data").mkdir(parents=True, exist_ok=True)
        (package / "Manifest.json").write_text("{}")
        (package / "Data" / "weight.bin").write_text(f"{content} of {trial}")
        packages.append(package)
        entries.append(
            {
                "path": package.name, "trial": trial, "workflow": "data_free",
                "configuration_hash": CONFIGURATION.hash, "configuration": json.loads(CONFIGURATION.to_json()),
                "weight_bytes": 1000 + trial, "package_bytes": 2000 + trial, "proof": {"passed": passed},
            }
        )  # fmt: skip
    manifest = folder / "manifest.json"
    manifest.write_text(json.dumps(entries))
    return packages, manifest
