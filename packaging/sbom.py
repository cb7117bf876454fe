"""What a party's installation consists of, as a CycloneDX 1.6 document: `make sbom`.

Walks from `unseen[party,postgres]` over the requirements that hold on this machine to the versions that are installed here: it
says what runs, not what might. The same installation gives the same bytes.
"""

from __future__ import annotations

import json
import re
import sys
import uuid
from collections.abc import Iterator
from importlib.metadata import Distribution, distribution
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

ROOT, EXTRAS = "unseen", frozenset({"party", "postgres"})
SPDX = re.compile(r"[A-Za-z0-9.+()\- ]+")  # a licence expression, in contrast to a licence's text


def main(target: str) -> None:
    document = json.dumps(sbom(), indent=1, sort_keys=True) + "\n"
    Path(target).parent.mkdir(parents=True, exist_ok=True)
    Path(target).write_text(document, encoding="utf-8")
    print(f"{target}: {document.count(chr(34) + 'purl' + chr(34)) - 1} packages")


def sbom() -> dict[str, Any]:
    """The document."""
    found = closure()
    root = found.pop(ROOT)
    components = [component(each, "library") for _, (each, _) in sorted(found.items())]
    edges = {reference(root[0]): root[1], **{reference(each): needs for each, needs in found.values()}}
    referred = {name: reference(each) for name, (each, _) in found.items()}
    content = {
        "components": components,
        "dependencies": [
            {"ref": ref, "dependsOn": sorted(referred[name] for name in needs)} for ref, needs in sorted(edges.items())
        ],
        "metadata": {"component": component(root[0], "application")},
    }
    serial = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(content, sort_keys=True))
    return {"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1, "serialNumber": f"urn:uuid:{serial}", **content}


def closure() -> dict[str, tuple[Distribution, set[str]]]:
    """Each package that `unseen[party,postgres]` needs, with the names of those that it needs itself."""
    found: dict[str, tuple[Distribution, set[str]]] = {}
    waiting = [(ROOT, EXTRAS)]
    seen = set(waiting)
    while waiting:
        name, extras = waiting.pop()
        package = found.setdefault(name, (distribution(name), set()))
        for need, its_extras in requirements(package[0], extras):
            package[1].add(need)
            if (need, its_extras) not in seen:
                seen.add((need, its_extras))
                waiting.append((need, its_extras))
    return found


def requirements(package: Distribution, extras: frozenset[str]) -> Iterator[tuple[str, frozenset[str]]]:
    """What holds here: name and extras of each requirement."""
    for text in package.requires or ():
        requirement = Requirement(text)
        if requirement.marker is None or any(requirement.marker.evaluate({"extra": extra}) for extra in {"", *extras}):
            yield canonical(requirement.name), frozenset(requirement.extras)


def component(package: Distribution, kind: str) -> dict[str, Any]:
    metadata = package.metadata
    found = {
        "type": kind,
        "bom-ref": reference(package),
        "name": metadata["Name"],
        "version": package.version,
        "purl": reference(package),
    }
    licence = metadata.get("License-Expression") or metadata.get("License") or ""
    if metadata.get("License-Expression"):
        return {**found, "licenses": [{"expression": licence}]}
    if licence and SPDX.fullmatch(licence) and len(licence) < 60:
        return {**found, "licenses": [{"license": {"name": licence}}]}
    classified = [line.rpartition(" :: ")[2] for line in metadata.get_all("Classifier") or () if line.startswith("License ::")]
    return {**found, "licenses": [{"license": {"name": name}} for name in classified]} if classified else found


def reference(package: Distribution) -> str:
    return f"pkg:pypi/{canonical(package.metadata['Name'])}@{package.version}"


def canonical(name: str) -> str:
    """PEP 503."""
    return re.sub(r"[-_.]+", "-", name).lower()


if __name__ == "__main__":
    main(*sys.argv[1:])
