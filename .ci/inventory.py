"""What the installed wheels are and what they carry: licenses, native libraries, FFmpeg's own word.

Run by the interpreter of an environment made from locks/demo.txt (`.venv-demo` of `make demo`):

    python .ci/inventory.py write docs/reference/licenses.md
                                                        put the facts between the marks in the file
    python .ci/inventory.py check docs/reference/licenses.md
                                                        exit code 1 where they are not those of this environment
    python .ci/inventory.py sbom BOM.json --wheel W.whl complete what cyclonedx-py wrote: version and hash of the wheel,
                                                        and the libraries inside the other wheels
"""

from __future__ import annotations

import argparse
import hashlib
import json
import platform
import re
import sys
import uuid
from importlib import metadata
from pathlib import Path

BEGIN, END = "<!-- facts: begin -->", "<!-- facts: end -->"
PLACE = ("CPython 3.11", "Linux", "x86_64")  # wheels differ by place; the facts are of this one
TOOLS = {"pip", "punctum", "setuptools", "wheel"}
# Licenses as the projects of these libraries state them: the wheels' metadata do not name them one by one.
LIBRARIES = {
    "GPL-2.0-or-later": "libx264 libx265",
    "LGPL-3.0-or-later OR GPL-2.0-or-later": "libgmp libnettle libhogweed libunistring",
    "LGPL-2.1-or-later": "libgnutls libasound libquadmath",
    "LGPL-2.1-or-later; here LGPL-3.0-or-later (see below)": (
        "libavcodec libavdevice libavfilter libavformat libavutil libswresample libswscale"
    ),
    "LGPL-2.0-or-later": "libmp3lame",
    "GPL-3.0-or-later WITH GCC-exception-3.1": "libgfortran libgomp",
    "BSD-3-Clause": (
        "libopus libvpx libwebp libwebpdemux libwebpmux libsharpyuv libogg libvorbis libvorbisenc libspeex libzstd "
        "libscipy_openblas64_"
    ),
    "BSD-3-Clause-Clear": "libSvtAv1Enc",
    "BSD-2-Clause": "libdav1d libopenh264 libopenjp2 libavif",
    "BSD-2-Clause-Patent": "libvmaf",
    "Apache-2.0": "libopencore-amrnb libopencore-amrwb",
    "MIT": "libdrm libvpl libbrotlicommon libbrotlidec libharfbuzz liblcms2",
    "X11": "libxcb libxcb-shape libxcb-shm libxcb-xfixes libXau",
    "FTL OR GPL-2.0-only": "libfreetype",
    "IJG AND BSD-3-Clause AND Zlib": "libjpeg",
    "libpng-2.0": "libpng16",
    "libtiff": "libtiff",
    "0BSD": "liblzma",
}
LICENSE_OF = {name: license for license, names in LIBRARIES.items() for name in names.split()}
COPYLEFT = re.compile(r"\bL?GPL")


def wheels() -> list[metadata.Distribution]:
    found = {d.metadata["Name"].lower().replace("_", "-"): d for d in metadata.distributions() if d.metadata["Name"]}
    return [found[name] for name in sorted(found) if name not in TOOLS]


def license(wheel: metadata.Distribution) -> str:
    """As the wheel declares it."""
    about = wheel.metadata
    if about.get("License-Expression"):
        return str(about["License-Expression"])
    named = [c.rsplit(" :: ", 1)[-1] for c in about.get_all("Classifier", []) if c.startswith("License ::")]
    text = (about.get("License") or "").strip().split("\n")[0]
    return "; ".join(named) or (text if 0 < len(text) <= 60 else "see its license file")


def libraries(wheel: metadata.Distribution) -> list[tuple[str, str, Path]]:
    """(name, version in the file's name, file) of shared libraries of other projects inside a wheel."""
    found = []
    for file in wheel.files or ():
        parts = re.fullmatch(r"(lib.+?)(?:-[0-9a-f]{8})*\.so(?:\.([\d.]+))?", file.name)
        if parts and ".libs" in file.parts[0]:
            found.append((parts[1], parts[2] or "", Path(str(wheel.locate_file(file)))))
    return sorted(found)


def unknown() -> list[str]:
    inside = [(wheel, name) for wheel in wheels() for name, _, _ in libraries(wheel)]
    return [f"{name} in {wheel.metadata['Name']}" for wheel, name in inside if name not in LICENSE_OF]


def ffmpeg() -> list[str]:
    """What the FFmpeg inside PyAV says of itself."""
    import av
    from av import _core

    about = _core.library_meta["libavcodec"]
    switches = [s for s in about["configuration"].split() if re.match(r"--enable-(gpl|nonfree|version3|libx26\d)", s)]
    return [
        f"PyAV {av.__version__} carries FFmpeg {getattr(av, 'ffmpeg_version_info', 'of unknown version')}.",
        f'Its libraries report the license "{about["license"]}" and were configured with {", ".join(switches)}.',
    ]


def facts() -> str:
    rows = ["| wheel | version | declared license | libraries of others inside |", "|---|---|---|---|"]
    for wheel in wheels():
        inside = sorted({name for name, _, _ in libraries(wheel)})
        rows.append(f"| {wheel.metadata['Name']} | {wheel.version} | {license(wheel)} | {', '.join(inside) or '-'} |")
    used = {name for wheel in wheels() for name, _, _ in libraries(wheel)}
    rows += ["", "| license | libraries inside wheels |", "|---|---|"]
    for terms, names in LIBRARIES.items():
        if found := used & set(names.split()):
            rows.append(f"| {terms} | {', '.join(sorted(found))} |")
    return "\n".join([*rows, "", *ffmpeg()])


def with_facts(text: str) -> str:
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}\n\n{facts()}\n\n{END}{after}"


def complete(bom: Path, wheel: Path) -> str:
    """Root: version, purl and hash of our wheel. Every other wheel: the libraries inside it as its components."""
    record = json.loads(bom.read_text())
    version, digest = wheel.name.split("-")[1], hashlib.sha256(wheel.read_bytes()).hexdigest()
    root = record["metadata"]["component"]
    root |= {"version": version, "purl": f"pkg:pypi/punctum@{version}"}
    root["hashes"] = [{"alg": "SHA-256", "content": digest}]
    # The same wheel gives the same serial number.
    record["serialNumber"] = f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, f'sha256:{digest}')}"
    by_name = {w.metadata["Name"]: w for w in wheels()}
    record["components"] = [c for c in record["components"] if c["name"].lower() not in TOOLS]
    known = {c["bom-ref"] for c in record["components"]} | {root["bom-ref"]}
    record["dependencies"] = [
        d | ({"dependsOn": [r for r in d["dependsOn"] if r in known]} if "dependsOn" in d else {})
        for d in record.get("dependencies", [])
        if d["ref"] in known
    ]
    count = 0
    for component in record["components"]:
        inside = libraries(by_name[component["name"]]) if component["name"] in by_name else []
        if inside:
            component["components"] = [
                {
                    "type": "library",
                    "name": name,
                    "bom-ref": f"{component['bom-ref']}#{file.name}",
                    "hashes": [{"alg": "SHA-256", "content": hashlib.sha256(file.read_bytes()).hexdigest()}],
                    "licenses": [{"license": {"name": LICENSE_OF.get(name, "unknown")}}],
                    **({"version": number} if number else {}),
                }
                for name, number, file in inside
            ]
            count += len(inside)
    bom.write_text(json.dumps(record, indent=1, sort_keys=True) + "\n")
    return f"{bom.name}: {len(record['components'])} packages and {count} libraries inside them, for punctum {version}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("action", choices=["write", "check", "sbom"])
    parser.add_argument("file", type=Path)
    parser.add_argument("--wheel", type=Path)
    given = parser.parse_args()
    strange = unknown()
    if strange:
        print(f"inventory: no license is known here for {', '.join(strange)}: add it to LIBRARIES")
        return 1
    if given.action == "sbom":
        print(complete(given.file, given.wheel))
        return 0
    here = (f"CPython {sys.version_info[0]}.{sys.version_info[1]}", platform.system(), platform.machine())
    if here != PLACE:
        print(f"inventory: {given.file} is of {' '.join(PLACE)}, this is {' '.join(here)}: not compared")
        return 0
    old = given.file.read_text()
    new = with_facts(old)
    if given.action == "write":
        given.file.write_text(new)
    elif new != old:
        print(f"inventory: {given.file} is out of date: .venv-demo/bin/python .ci/inventory.py write {given.file}")
        return 1
    copyleft = sum(bool(COPYLEFT.search(LICENSE_OF[n])) for w in wheels() for n, _, _ in libraries(w))
    print(f"inventory: {len(wheels())} wheels, {copyleft} libraries under LGPL or GPL inside them")
    return 0


if __name__ == "__main__":
    sys.exit(main())
